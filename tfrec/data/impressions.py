"""Separates impressions, which record what was shown, from what users did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfrec.data.histories import Histories


def without_kind(histories: Histories, kind: int) -> tuple[Histories, np.ndarray]:
    """The histories without the events of one kind. Rows may become empty.

    Args:
        histories: The histories to filter.
        kind: int. Index of the event kind to remove; −1 removes nothing.

    Returns:
        histories: The filtered histories. before: int64 `[events + 1]`, the number of kept events before each old flat
        position; it maps old positions to new ones.

    Example:
        >>> h = Histories(np.array(["u"], object), np.array([0, 3]), np.array([5, 6, 7]), np.array([0, 1, 0]),
        ...               np.arange(3), np.zeros(3), np.ones(3, bool))
        >>> without_kind(h, 1)[0].items.tolist(), without_kind(h, 1)[1].tolist()
        ([5, 7], [0, 1, 1, 2])
    """
    kept = histories.events != kind
    before = np.concatenate([[0], np.cumsum(kept)])
    flat = {name: getattr(histories, name)[kept] for name in ("items", "events", "timestamps", "values", "is_target")}
    context = {name: values[kept] for name, values in histories.context.items()}
    return replace(histories, offsets=before[histories.offsets], context=context, **flat), before
