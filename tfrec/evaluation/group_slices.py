"""The same metrics for parts of the users and of the targets, and how far the parts are from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories, Queries
from tfrec.errors import InvalidInput
from tfrec.evaluation.catalogue_metrics import head_items
from tfrec.evaluation.ranking_metrics import ranking_metrics

NOT_METRICS = (schema.USER_ID, "targets")


def activity_groups(lengths: np.ndarray, hot: float = 0.2) -> np.ndarray:
    """Users by the length of their history: "cold" (none), "hot" (the longest `hot` share, ties in), "warm" (others).

    Example:
        >>> activity_groups(np.array([0, 1, 2, 3, 9])).tolist()
        ['cold', 'warm', 'warm', 'warm', 'hot']
    """
    lengths = np.asarray(lengths)
    bound = np.quantile(lengths, 1 - hot, method="higher") if len(lengths) else 0
    return np.where(lengths == 0, "cold", np.where(lengths >= bound, "hot", "warm")).astype(object)


def popularity_groups(train_counts: np.ndarray) -> np.ndarray:
    """Items by training events: "cold" (none), "hot" (the head, see `head_items`), "warm" (others)."""
    counts = np.asarray(train_counts)
    return np.where(counts == 0, "cold", np.where(head_items(counts), "hot", "warm")).astype(object)


def user_slices(per_user: pl.DataFrame, groups: Sequence[Any] | np.ndarray) -> dict[str, dict[str, float]]:
    """Mean of every metric for each group of users, with its standard error and how many users it has.

    Args:
        per_user: One row a query: user_id, targets, metrics (of `evaluate_ranking` or `evaluate_beyond`).
        groups: One label a row; None is the group "(none)".

    Returns:
        Group name, sorted, to {"users": n, metric: mean, metric + "_se": standard error}. NaN values are left out; a
        group of one user has no standard error (NaN).

    Example:
        >>> frame = pl.DataFrame({"user_id": ["a", "b"], "targets": [1, 1], "ndcg@10": [0.5, 1.0]})
        >>> user_slices(frame, ["new", "old"])["old"]["ndcg@10"]
        1.0
    """
    labels = np.array(["(none)" if group is None else str(group) for group in groups], dtype=object)
    if len(labels) != per_user.height:
        raise InvalidInput(f"Expected one group a user, {per_user.height}, received {len(labels)}.")
    names = [name for name in per_user.columns if name not in NOT_METRICS]
    found = {}
    for label in sorted(set(labels)):
        part = per_user.filter(pl.Series(labels == label))
        row: dict[str, float] = {"users": part.height}
        for name in names:
            values = part[name].to_numpy()
            row |= dict(zip((name, f"{name}_se"), _mean(values[~np.isnan(values)])))
        found[str(label)] = row
    return found


def _mean(values: np.ndarray) -> tuple[float, float]:
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def target_slices(
    ranks: np.ndarray, offsets: np.ndarray, groups: Sequence[Any] | np.ndarray, k: int
) -> dict[str, dict[str, float]]:
    """recall, ndcg, mrr and hit_rate at `k` where only the targets of one group count.

    A user counts in each group in which they have a target. The other targets stay in the ranking, as any item does.

    Args:
        ranks: int64 `[targets]`, from `target_ranks` or the predictions frame (see `flat_ranks`).
        offsets: int `[queries + 1]`. groups: one label a target.
        k: int.

    Returns:
        Group name, sorted, to {"users": n, "targets": n, "recall@k": …, "ndcg@k": …, "mrr@k": …, "hit_rate@k": …}.
    """
    labels = np.array(["(none)" if group is None else str(group) for group in groups], dtype=object)
    if len(labels) != len(ranks):
        raise InvalidInput(f"Expected one group a target, {len(ranks)}, received {len(labels)}.")
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found = {}
    for label in sorted(set(labels)):
        chosen = labels == label
        users, counts = np.unique(row[chosen], return_counts=True)
        values = ranking_metrics(ranks[chosen], np.concatenate([[0], np.cumsum(counts)]), k)
        means = {f"{name}@{k}": float(column.mean()) for name, column in values.items()}
        found[str(label)] = {"users": len(users), "targets": int(chosen.sum()), **means}
    return found


def target_kinds(histories: Histories, queries: Queries) -> np.ndarray:
    """The kind of event by which each target was taken: int16 `[targets]`, indices into `event_kinds`.

    It is the first event of a target kind that the user has with the item after the query's history; −1 where the log
    has none.

    Args:
        histories: Whole sequences (`PreparedDataset.histories()`), of which each query's history is a beginning.
        queries: What was asked.
    """
    place = {user: row for row, user in enumerate(histories.user_ids)}
    kinds = np.full(len(queries.target_items), -1, np.int16)
    for query, (user, length) in enumerate(zip(queries.user_ids, queries.history.lengths)):
        if user not in place:
            raise InvalidInput(f"The histories have no user {user!r} of the queries. Pass those of the same dataset.")
        row = histories.row(place[user])
        later = slice(row.start + int(length), row.stop)
        taken = histories.is_target[later]
        first: dict[int, int] = {}
        for item, kind in zip(histories.items[later][taken].tolist(), histories.events[later][taken].tolist()):
            first.setdefault(item, kind)
        for at in range(int(queries.target_offsets[query]), int(queries.target_offsets[query + 1])):
            kinds[at] = first.get(int(queries.target_items[at]), -1)
    return kinds


def disparity(slices: Mapping[str, Mapping[str, float]], metric: str, minimum: int = 30) -> dict[str, Any]:
    """How unequal a metric is between groups of users.

    Args:
        slices: From `user_slices`.
        metric: Its name, e.g. "ndcg@10".
        minimum: int. Groups with fewer users are left out, and named: their means are mostly noise.

    Returns:
        best and worst (group names), gap (best − worst), gap_se (its standard error), ratio (worst over best; NaN when
        the best is 0), left_out (names). Groups are independent, so the gap's standard error is the root of the sum of
        squares; the gap of many groups is biased upwards, as any maximum is. None values with fewer than two groups.

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
