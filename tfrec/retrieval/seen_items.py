"""Decides whether lists leave out what their user has had: the rule of `retrieval.exclude_seen`."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries

REPEAT_SHARE = 0.01
"""Share of repeats among the validation targets from which seen items stay in the lists. A convention: with fewer
repeats, seen items would take list positions for almost no hits."""


def excludes_seen(config: RunConfig, dataset: PreparedDataset) -> bool:
    """What `retrieval.exclude_seen` comes to: true and false as they are, auto by `should_exclude_seen`."""
    choice = config.retrieval.exclude_seen
    return should_exclude_seen(dataset) if choice == "auto" else choice == "true"


def should_exclude_seen(dataset: PreparedDataset) -> bool:
    """Whether lists should exclude the items of the user's history.

    They should unless users repeat items: unless at least 1% of the validation targets occur in their own query's
    history. Without validation targets the answer is True.
    """
    queries = dataset.queries(schema.VALID)
    return not len(queries.target_items) or repeat_share(queries, dataset.num_items) < REPEAT_SHARE


def repeat_share(queries: Queries, num_items: int) -> float:
    """Share of the targets that occur in the history of their own query; 0 without targets."""
    history = queries.history
    seen = _pair_keys(history.offsets, history.items, num_items)
    targets = _pair_keys(queries.target_offsets, queries.target_items, num_items)
    return float(np.isin(targets, seen).mean()) if len(targets) else 0.0


def _pair_keys(offsets: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """A distinct number for each (row, item) pair."""
    rows = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    return rows * num_items + items
