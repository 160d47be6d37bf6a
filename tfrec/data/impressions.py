"""Separates what was shown or disliked from what users took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfrec import schema
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


def taken(histories: Histories, event_kinds: Sequence[str]) -> np.ndarray:
    """Which events say that the item was taken: all but impressions and dislikes. Counts count these alone.

    Args:
        histories: The histories.
        event_kinds: Names of the event kinds.

    Returns:
        bool `[events]`.

    Example:
        >>> h = Histories(np.array(["u"], object), np.array([0, 3]), np.array([5, 6, 7]), np.array([0, 1, 2]),
        ...               np.arange(3), np.zeros(3), np.ones(3, bool))
        >>> taken(h, ["view", "dislike", "impression"]).tolist()
        [True, False, False]
    """
    untaken = [place for place, kind in enumerate(event_kinds) if kind in (schema.IMPRESSION, schema.DISLIKE)]
    return np.asarray(~np.isin(histories.events, untaken))
