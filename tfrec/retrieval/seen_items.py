"""Decides whether lists exclude items that the user has seen: the rule of `retrieval.exclude_seen`."""

from __future__ import annotations

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.data.pair_set import PairSet

REPEAT_SHARE = 0.01
"""Share of repeats among the validation targets from which seen items stay in the lists. A convention: with fewer
repeats, seen items would take list positions for almost no hits."""


def excludes_seen(config: RunConfig, dataset: PreparedDataset) -> bool:
    """Whether `retrieval.exclude_seen` excludes seen items; "auto" is decided by `should_exclude_seen`."""
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
    seen = PairSet(queries.history.rows, queries.history.items, num_items)
    repeats = seen.contains(queries.target_rows, queries.target_items)
    return float(repeats.mean()) if len(repeats) else 0.0
