"""Padded batches of histories, the input of the models."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.histories import Histories


def history_batch(histories: Histories, rows: np.ndarray, max_history: int) -> dict[str, np.ndarray]:
    """A padded batch of the newest events of the given rows, oldest first, padded on the right.

    Args:
        histories: The histories to read from.
        rows: int `[batch]`.
        max_history: int. Maximum number of events per row; the newest are kept.

    Returns:
        `history_items` int32 and `history_events` int32, −1 at padding, and `history_gaps` float32, `log(1 + seconds
        since the user's previous event)`, 0 at a user's first event, at padding and without a clock. Each has the shape
        `[batch, length]`, where length is that of the longest row of the batch, at least 1.
    """
    first = histories.offsets[rows]
    stop = histories.offsets[np.asarray(rows) + 1]
    start = np.maximum(first, stop - max_history)
    lengths = stop - start
    column = np.arange(max(1, lengths.max(initial=0)))
    real = column < lengths[:, None]
    positions = np.where(real, start[:, None] + column, 0)
    if not len(histories.items):
        empty = np.full(real.shape, schema.PADDING, np.int32)
        return _named(empty, empty, np.zeros(real.shape, np.float32))
    items = np.where(real, histories.items[positions], schema.PADDING).astype(np.int32)
    events = np.where(real, histories.events[positions], schema.PADDING).astype(np.int32)
    gaps = np.zeros(real.shape, np.float32)
    if histories.clock:
        before = np.maximum(positions - 1, 0)
        seconds = (histories.timestamps[positions] - histories.timestamps[before]) / 1e6
        follows = real & (positions > first[:, None])
        gaps = np.where(follows, np.log1p(np.maximum(seconds, 0)), 0).astype(np.float32)
    return _named(items, events, gaps)


def _named(items: np.ndarray, events: np.ndarray, gaps: np.ndarray) -> dict[str, np.ndarray]:
    return {schema.HISTORY_ITEMS: items, schema.HISTORY_EVENTS: events, schema.HISTORY_GAPS: gaps}
