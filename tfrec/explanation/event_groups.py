"""Groups of events that are deleted together: single events, all events on one item, or sessions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

By = Literal["event", "item", "session"]
SESSION_MINUTES = 30.0
"""Pause that ends a session: the convention of web analytics."""


def event_groups(
    histories: Histories, rows: np.ndarray, events: int, by: By = "event", session_minutes: float = SESSION_MINUTES
) -> np.ndarray:
    """The group of each of the newest `events` events of the rows.

    Args:
        histories: The histories.
        rows: int `[n]`.
        events: int.
        by: What makes a group: "event", each alone; "item", all events on an item; "session", events without a longer
            pause between them.
        session_minutes: float. Pause that ends a session.

    Returns:
        int32 `[n, events]`, from 0 in the order of the groups' first events, as wide as the longest row; −1 at padding.

    Raises:
        InvalidInput: Sessions are asked for, and the log has no clock.
    """
    if by == "session" and not histories.clock:
        raise InvalidInput("Sessions need times, and this log has only an order. Group by event or by item.")
    lengths = np.minimum(histories.lengths[rows], events)
    groups = np.full([len(rows), max(int(lengths.max(initial=0)), 1)], -1, np.int32)
    for row, (stop, length) in enumerate(zip(histories.offsets[np.asarray(rows) + 1], lengths)):
        newest = slice(stop - length, stop)
        if by == "event":
            groups[row, :length] = np.arange(length)
        elif by == "item":
            _, first, place = np.unique(histories.items[newest], return_index=True, return_inverse=True)
            groups[row, :length] = np.argsort(np.argsort(first))[place]
        elif length:
            pauses = np.diff(histories.timestamps[newest]) > session_minutes * 60e6
            groups[row, :length] = np.concatenate([[0], np.cumsum(pauses)])
    return groups


def deletion_masks(groups: np.ndarray) -> np.ndarray:
    """Variants that keep everything, and then that delete one group each: bool `[n, groups + 1, events]`.

    Args:
        groups: int32 `[n, events]`, of `event_groups`.

    Example:
        >>> deletion_masks(np.array([[0, 1, 0]])).astype(int).tolist()
        [[[1, 1, 1], [0, 1, 0], [1, 0, 1]]]
    """
    deleted = np.array([-2, *range(int(groups.max(initial=-1)) + 1)])  # no group is −2
    return groups[:, None] != deleted[:, None]
