"""The parts of a metrics file beyond the headline: what the lists are like, and for whom the model works."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.errors import InvalidInput
from tfrec.evaluation import RankingResult, category_matrix, evaluate_beyond
from tfrec.evaluation.beyond_accuracy import flat_ranks, padded_lists
from tfrec.evaluation.catalogue_metrics import item_group_exposure
from tfrec.evaluation.group_slices import (
    activity_groups,
    disparity,
    popularity_groups,
    target_kinds,
    target_slices,
    user_slices,
)
from tfrec.runs.run import Run

K = 10
"""The length of list that slices speak of."""


def beyond_accuracy(
    result: RankingResult, dataset: PreparedDataset, run: Run, queries: Queries
) -> dict[str, float | None]:
    """`evaluate_beyond` of a run's lists, None for NaN; with the text vectors and `evaluation.categories`, if any."""
    column = run.config.evaluation.categories
    found = evaluate_beyond(
        result.predictions,
        train_counts=run.item_counts,
        histories=queries.history,
        vectors=run.text_vectors,
        categories=category_matrix(_labels(dataset.items, column, "items"))[0] if column else None,
        ks=(K,),
    )
    return {name: _number(value) for name, value in found.metrics.items()}


def slice_report(result: RankingResult, dataset: PreparedDataset, run: Run, queries: Queries) -> dict[str, Any]:
    """Slices of the queries by activity and user columns, of the targets by popularity, item columns and behaviour.

    Returns:
        `users`, `targets`: name of the grouping to its slices (see `user_slices`, `target_slices`); `disparity`: of
        ndcg@10 for each grouping of users; `exposure`: of each item column. NaN is None.
    """
    knobs = run.config.evaluation
    users: dict[str, Sequence[Any] | np.ndarray] = {"activity": activity_groups(queries.history.lengths)}
    for column in knobs.user_groups:
        users[column] = _user_labels(dataset, column, queries)
    items: dict[str, Sequence[Any] | np.ndarray] = {"popularity": popularity_groups(run.item_counts)}
    items |= {column: _labels(dataset.items, column, "items") for column in knobs.item_groups}
    ranks, offsets = flat_ranks(result.predictions)
    targets = {name: np.array(labels, object)[queries.target_items] for name, labels in items.items()}
    if len(dataset.event_kinds) > 1:
        names = np.array([*dataset.event_kinds, "(unknown)"], object)  # −1, not found, is the last
        targets["behaviour"] = names[target_kinds(dataset.histories(), queries)]
    headline = result.per_user.select(
        schema.USER_ID, "targets", *(f"{name}@{K}" for name in ("recall", "ndcg", "mrr", "hit_rate"))
    )
    by_user = {name: user_slices(headline, labels) for name, labels in users.items()}
    lists = padded_lists(result.predictions, K)
    return _without_nan(
        {
            "users": by_user,
            "targets": {name: target_slices(ranks, offsets, labels, K) for name, labels in targets.items()},
            "disparity": {name: disparity(slices, f"ndcg@{K}") for name, slices in by_user.items()},
            "exposure": {
                name: item_group_exposure(lists, items[name], run.item_counts, queries.target_items).to_dicts()
                for name in knobs.item_groups
            },
        }
    )


def _labels(frame: pl.DataFrame, column: str, what: str) -> list[str | None]:
    if column not in frame.columns:
        raise InvalidInput(f"The {what} have no column {column!r} to group by; found {', '.join(frame.columns)}.")
    return frame[column].cast(pl.String).to_list()


def _user_labels(dataset: PreparedDataset, column: str, queries: Queries) -> list[str | None]:
    if dataset.users is None:
        raise InvalidInput(
            f"evaluation.user_groups has {column!r}, but no users were given. Prepare with --users FILE."
        )
    labels = dict(zip(dataset.users[schema.USER_ID].to_list(), _labels(dataset.users, column, "users")))
    return [labels.get(user) for user in queries.user_ids]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return _number(value) if isinstance(value, float) else value
