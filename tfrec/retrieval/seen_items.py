"""The rule behind `retrieval.exclude_seen=auto`."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries

REPEAT_SHARE = 0.01


def should_exclude_seen(dataset: PreparedDataset) -> bool:
    """Whether lists should leave out what the user has had: unless people of this data come back to items.

    They do when at least 1% of the validation targets are items of the query's own history. Without validation targets
    seen items are left out.
    """
    queries = dataset.queries(schema.VALID)
    return not len(queries.target_items) or repeat_share(queries, dataset.num_items) < REPEAT_SHARE


def repeat_share(queries: Queries, num_items: int) -> float:
    """Share of the targets that occur in the history of their own query; 0 without targets."""
    history = queries.history
    seen = _keys(history.offsets, history.items, num_items)
    wanted = _keys(queries.target_offsets, queries.target_items, num_items)
    return float(np.isin(wanted, seen).mean()) if len(wanted) else 0.0


def _keys(offsets: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """A number for each (row, item)."""
    rows = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    return rows * num_items + items
