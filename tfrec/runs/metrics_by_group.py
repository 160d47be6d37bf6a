"""Metrics beyond the headline: properties of the lists, and slices by groups of users and items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.data.impressions import taken
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
    time_groups,
    user_slices,
)
from tfrec.evaluation.small_groups import without_small_groups
from tfrec.evaluation.transition_groups import transition_groups
from tfrec.retrieval.items_to_recommend import items_to_recommend
from tfrec.runs.run import Run

K = 10
"""Length of the lists that the slices evaluate."""


def beyond_accuracy(
    result: RankingResult, dataset: PreparedDataset, run: Run, queries: Queries
) -> dict[str, float | None]:
    """Metrics of `evaluate_beyond` for a run's lists; NaN becomes None.

    Text vectors and `evaluation.categories` are used if the run has them.
    """
    column, allowed = run.config.evaluation.categories, items_to_recommend(run.config, dataset.items)
    beyond = evaluate_beyond(
        result.predictions,
        train_counts=run.item_counts,
        histories=queries.history,
        vectors=run.text_vectors,
        categories=category_matrix(_labels(dataset.items, column, "items"))[0] if column else None,
        ks=(K,),
        candidates=None if allowed is None else int(allowed.sum()),
    )
    return {name: _number(value) for name, value in beyond.metrics.items()}


def slice_report(
    result: RankingResult,
    dataset: PreparedDataset,
    run: Run,
    queries: Queries,
    baselines: Mapping[str, RankingResult] | None = None,
) -> dict[str, Any]:
    """Metrics by user group (activity, user columns) and by target group (popularity, transition, item columns,
    behaviour and, in a split by time, the third of the window).

    Args:
        result: The lists of the run.
        dataset: The prepared data.
        run: The evaluated run.
        queries: The evaluated queries.
        baselines: Results of baselines on the same queries by name, whose ndcg@10 in each slice is `ndcg@10_NAME`. None
            for none.

    Returns:
        `users` and `targets`: for each grouping its slices (see `user_slices`, `target_slices`), but for those of fewer
        than `privacy.k` users; `disparity`: the disparity of ndcg@10 for each grouping of users; `exposure`: the
        exposure of the groups of each item column. NaN becomes None.
    """
    options = run.config.evaluation
    users: dict[str, Sequence[Any] | np.ndarray] = {"activity": activity_groups(queries.history.lengths)}
    for column in options.user_groups:
        users[column] = _user_labels(dataset, column, queries)
    items: dict[str, Sequence[Any] | np.ndarray] = {"popularity": popularity_groups(run.item_counts)}
    items |= {column: _labels(dataset.items, column, "items") for column in options.item_groups}
    ranks, offsets = flat_ranks(result.predictions)
    targets = {name: np.array(labels, object)[queries.target_items] for name, labels in items.items()}
    if len(dataset.event_kinds) > 1:
        names = np.array([*dataset.event_kinds, "(unknown)"], object)  # index −1, an unknown kind, selects the last
        targets["behaviour"] = names[target_kinds(dataset.histories(), queries)]
    targets["transition"] = _transitions(dataset, queries)
    if dataset.manifest["split"] == schema.GLOBAL_TIME:
        targets["time"] = time_groups(dataset.histories(), queries)
    headline = result.per_user.select(
        schema.USER_ID, "targets", *(f"{name}@{K}" for name in ("recall", "ndcg", "mrr", "hit_rate"))
    )
    k = run.config.privacy.k
    by_user = {name: user_slices(headline, labels) for name, labels in users.items()}
    by_target = {name: target_slices(ranks, offsets, labels, K) for name, labels in targets.items()}
    for name, baseline in (baselines or {}).items():
        theirs, (ranks, offsets) = baseline.per_user.select(*headline.columns), flat_ranks(baseline.predictions)
        for grouping, labels in users.items():
            _put_beside(name, by_user[grouping], user_slices(theirs, labels))
        for grouping, labels in targets.items():
            _put_beside(name, by_target[grouping], target_slices(ranks, offsets, labels, K))
    by_user = {name: without_small_groups(groups, k) for name, groups in by_user.items()}
    lists = padded_lists(result.predictions, K)
    return _without_nan(
        {
            "users": by_user,
            "targets": {name: without_small_groups(groups, k) for name, groups in by_target.items()},
            "disparity": {name: disparity(slices, f"ndcg@{K}") for name, slices in by_user.items()},
            "exposure": {
                name: item_group_exposure(lists, items[name], run.item_counts, queries.target_items).to_dicts()
                for name in options.item_groups
            },
        }
    )


def _transitions(dataset: PreparedDataset, queries: Queries) -> np.ndarray:
    """The transition group of each target (`transition_groups`), by the events that say that an item was taken."""
    training, kinds = dataset.training(), dataset.event_kinds
    return transition_groups(
        training, queries, dataset.num_items, taken(training, kinds), taken(queries.history, kinds)
    )


def _put_beside(name: str, slices: dict[str, dict[str, float]], theirs: Mapping[str, Mapping[str, float]]) -> None:
    """Adds the ndcg of a baseline in the same slices."""
    for group, row in theirs.items():
        slices[group][f"ndcg@{K}_{name}"] = row[f"ndcg@{K}"]


def _labels(frame: pl.DataFrame, column: str, what: str) -> list[str | None]:
    """The label of each row; the labels of a list are joined by |, as `category_matrix` reads them."""
    if column not in frame.columns:
        raise InvalidInput(f"The {what} have no column {column!r} to group by; found {', '.join(frame.columns)}.")
    values = frame[column]
    if isinstance(values.dtype, (pl.List, pl.Array)) and not values.dtype.inner.is_nested():  # type: ignore[union-attr]
        joined = values.cast(pl.List(pl.String)).list.drop_nulls().list.join("|")
        return [label or None for label in joined.to_list()]
    if values.dtype.is_nested():
        raise InvalidInput(
            f"The column {column!r} of the {what} holds {values.dtype}, which is no group. Choose another."
        )
    return values.cast(pl.String).to_list()


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
