"""Metrics for groups of users or targets, and the disparity between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories, Queries, row_numbers
from tfrec.errors import InvalidInput
from tfrec.evaluation.catalogue_metrics import head_items
from tfrec.evaluation.group_labels import members
from tfrec.evaluation.ranking_metrics import ranking_metrics

NOT_METRICS = (schema.USER_ID, "targets")


def activity_groups(lengths: np.ndarray, hot: float = 0.2) -> np.ndarray:
    """Groups users by history length: "cold" (empty), "hot" (the longest `hot` share and ties), "warm" (the others).

    Args:
        lengths: int `[users]`, events in each history.
        hot: float in 0…1. Share of the users in the group "hot".

    Returns:
        object `[users]`, group names.

    Example:
        >>> activity_groups(np.array([0, 1, 2, 3, 9])).tolist()
        ['cold', 'warm', 'warm', 'warm', 'hot']
    """
    lengths = np.asarray(lengths)
    bound = np.quantile(lengths, 1 - hot, method="higher") if len(lengths) else 0
    return np.where(lengths == 0, "cold", np.where(lengths >= bound, "hot", "warm")).astype(object)


def popularity_groups(train_counts: np.ndarray) -> np.ndarray:
    """Groups items by training events: "cold" (none), "hot" (the head, see `head_items`), "warm" (the others)."""
    counts = np.asarray(train_counts)
    return np.where(counts == 0, "cold", np.where(head_items(counts), "hot", "warm")).astype(object)


def user_slices(per_user: pl.DataFrame, groups: Sequence[Any] | np.ndarray) -> dict[str, dict[str, float]]:
    """Mean and standard error of every metric, and the number of users, for each group of users.

    Args:
        per_user: One row per query: user_id, targets, metrics (from `evaluate_ranking` or `evaluate_beyond`).
        groups: One label per row; None becomes the group "(none)".

    Returns:
        Group name, sorted, to {"users": n, metric: mean, metric + "_se": standard error}. NaN values are ignored; the
        standard error of a group with one user is NaN.

    Example:
        >>> frame = pl.DataFrame({"user_id": ["a", "b"], "targets": [1, 1], "ndcg@10": [0.5, 1.0]})
        >>> user_slices(frame, ["new", "old"])["old"]["ndcg@10"]
        1.0
    """
    labels = np.array(["(none)" if group is None else str(group) for group in groups], dtype=object)
    if len(labels) != per_user.height:
        raise InvalidInput(f"Expected one group per user, {per_user.height}; received {len(labels)}.")
    names = [name for name in per_user.columns if name not in NOT_METRICS]
    slices = {}
    for label in sorted(set(labels)):
        part = per_user.filter(pl.Series(labels == label))
        row: dict[str, float] = {"users": part.height}
        for name in names:
            values = part[name].to_numpy()
            row |= dict(zip((name, f"{name}_se"), _mean_and_error(values[~np.isnan(values)])))
        slices[str(label)] = row
    return slices


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def target_slices(
    ranks: np.ndarray, offsets: np.ndarray, groups: Sequence[Any] | np.ndarray, k: int
) -> dict[str, dict[str, float]]:
    """recall, ndcg, mrr and hit_rate at `k` for each group of targets.

    A user counts in every group in which they have a target, and a target in every group that it belongs to. Targets of
    other groups stay in the ranking like any item.

    Args:
        ranks: int64 `[targets]`, from `target_ranks` or the predictions frame (see `flat_ranks`).
        offsets: int `[queries + 1]`, where the targets of each query begin.
        groups: One label per target, several as a|b; None becomes the group "(none)".
        k: int. Length of the lists.

    Returns:
        Group name, sorted, to {"users": n, "targets": n, "recall@k": …, "ndcg@k": …, "mrr@k": …, "hit_rate@k": …}.
    """
    if len(groups) != len(ranks):
        raise InvalidInput(f"Expected one group per target, {len(ranks)}; received {len(groups)}.")
    found = members(groups)
    row, member = row_numbers(np.diff(offsets)), found.rows
    slices = {}
    for code, label in enumerate(found.labels):
        chosen = np.zeros(len(ranks), bool)
        chosen[member[found.codes == code]] = True
        users, counts = np.unique(row[chosen], return_counts=True)
        values = ranking_metrics(ranks[chosen], np.concatenate([[0], np.cumsum(counts)]), k)
        means = {f"{name}@{k}": float(column.mean()) for name, column in values.items()}
        slices[str(label)] = {"users": len(users), "targets": int(chosen.sum()), **means}
    return slices


def target_events(histories: Histories, queries: Queries) -> np.ndarray:
    """The event of each target, int64 `[targets]`, as a position in the arrays of `histories`.

    It is the user's first target event with the item after the query's history, or −1 if the log has none.

    Args:
        histories: Complete sequences (`PreparedDataset.histories()`); each query's history is a prefix of one of them.
        queries: The evaluated queries.
    """
    row_of_user = {user: row for row, user in enumerate(histories.user_ids)}
    events = np.full(len(queries.target_items), -1, np.int64)
    for query, (user, length) in enumerate(zip(queries.user_ids, queries.history.lengths)):
        if user not in row_of_user:
            raise InvalidInput(f"The histories lack user {user!r} of the queries. Pass those of the same dataset.")
        row = histories.row(row_of_user[user])
        start = row.start + int(length)
        later = start + np.flatnonzero(histories.is_target[start : row.stop])
        first: dict[int, int] = {}
        for item, event in zip(histories.items[later].tolist(), later.tolist()):
            first.setdefault(item, event)
        for target in range(int(queries.target_offsets[query]), int(queries.target_offsets[query + 1])):
            events[target] = first.get(int(queries.target_items[target]), -1)
    return events


def target_kinds(histories: Histories, queries: Queries) -> np.ndarray:
    """The event kind of each target, int16 `[targets]`, as an index into `event_kinds`; −1 for none.

    Args:
        histories, queries: As for `target_events`.
    """
    events = target_events(histories, queries)
    return np.where(events >= 0, histories.events[events], -1).astype(np.int16)


def time_groups(histories: Histories, queries: Queries) -> np.ndarray:
    """The third of the window in which each target was taken, object `[targets]`: as many targets in each, by time.

    Args:
        histories, queries: As for `target_events`; with a clock.
    """
    events = target_events(histories, queries)
    times = histories.timestamps[events]
    bounds = np.quantile(times[events >= 0], [1 / 3, 2 / 3]) if (events >= 0).any() else np.zeros(0)
    names = np.array(["1 (first third)", "2", "3 (last third)"], object)
    groups: np.ndarray = names[np.searchsorted(bounds, times)]
    groups[events < 0] = None
    return groups


def disparity(slices: Mapping[str, Mapping[str, float]], metric: str, minimum: int = 30) -> dict[str, Any]:
    """How much a metric differs between groups of users.

    The groups are independent, so the standard error of the gap is the root of the sum of squares. With many groups the
    gap is biased upwards, as the difference of a maximum and a minimum always is.

    Args:
        slices: From `user_slices`.
        metric: Name of the metric, e.g. "ndcg@10".
        minimum: int. Groups with fewer users are left out, as their means are mostly noise. The default 30 is the usual
            rule of thumb for a mean to be close to normal.

    Returns:
        best and worst (group names), gap (best − worst), gap_se (its standard error), ratio (worst / best; NaN if the
        best is 0) and left_out (names of the small groups). With fewer than two groups all but left_out are None.

    Example:
        >>> disparity({"a": {"users": 50, "m": 0.2, "m_se": 0.03}, "b": {"users": 50, "m": 0.1, "m_se": 0.04}}, "m")
        {'best': 'a', 'worst': 'b', 'gap': 0.1, 'gap_se': 0.05, 'ratio': 0.5, 'left_out': []}
    """
    kept = {name: row for name, row in slices.items() if row["users"] >= minimum and not np.isnan(row[metric])}
    left_out = [name for name in slices if name not in kept]
    if len(kept) < 2:
        return {key: None for key in ("best", "worst", "gap", "gap_se", "ratio")} | {"left_out": left_out}
    best, worst = (pick(kept, key=lambda name: kept[name][metric]) for pick in (max, min))
    high, low = kept[best], kept[worst]
    return {
        "best": best,
        "worst": worst,
        "gap": high[metric] - low[metric],
        "gap_se": float(np.hypot(high[f"{metric}_se"], low[f"{metric}_se"])),
        "ratio": low[metric] / high[metric] if high[metric] else float("nan"),
        "left_out": left_out,
    }
