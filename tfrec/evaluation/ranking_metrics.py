"""Ranking metrics of each query, computed from the ranks of its targets."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import row_numbers

UNRANKED = np.iinfo(np.int64).max
"""Rank of a target that cannot appear in any list: masked, or with a score of −inf or NaN."""


def target_ranks(scores: np.ndarray, offsets: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The rank of every target among all items, from 1. Ties count against the model.

    An item with the same score as a target ranks before it, unless it is a target of the same query: tied targets of a
    query get consecutive ranks and do not push each other down.

    Args:
        scores: float `[queries, items]`, −inf where masked. Items with NaN rank before every target.
        offsets: int `[queries + 1]`, where the targets of each query begin.
        targets: int `[targets]`, item indices, distinct within a query.

    Returns:
        int64 `[targets]`; `UNRANKED` for a target with a score of −inf or NaN.

    Example:
        >>> target_ranks(np.array([[0.2, 0.9, 0.2, 0.1]]), np.array([0, 1]), np.array([0]))
        array([3])
    """
    counts = np.diff(offsets)
    row = row_numbers(counts)
    value = scores[row, targets]
    below = (np.count_nonzero(scores[line] < bound) for line, bound in zip(row, value))
    return ranks_of(value, scores.shape[1] - np.fromiter(below, np.int64, len(targets)), offsets)


def ranks_of(value: np.ndarray, not_below: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The ranks of `target_ranks`, computed from counts.

    Args:
        value: float `[targets]`, the scores of the targets.
        not_below: int64 `[targets]`, how many items do not score below each target, including itself.
        offsets: int `[queries + 1]`, where the targets of each query begin.

    Returns:
        int64 `[targets]`; `UNRANKED` for a target with a score of −inf or NaN.

    Example:
        >>> ranks_of(np.array([0.2]), np.array([3]), np.array([0, 1]))
        array([3])
    """
    counts = np.diff(offsets)
    row = row_numbers(counts)
    order = np.lexsort((-value, row))  # the targets of each query by descending score, NaN last
    place = np.empty(len(value), np.int64)
    place[order] = np.arange(len(value)) - offsets[:-1][row]
    # Items not below a target rank before it. Among the query's own targets only those that `place` counts may do so:
    # the better ones, and the earlier of tied ones.
    ranks = not_below - _targets_not_below(value, order, row, offsets) + place + 1
    ranks[~(value > -np.inf)] = UNRANKED
    return ranks


def _targets_not_below(value: np.ndarray, order: np.ndarray, row: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each target, how many targets of its query score at least as high, including itself; NaN never does."""
    sorted_value, sorted_row = value[order], row[order]
    last = np.ones(len(order), bool)  # the last of each run of equal scores in a query
    last[:-1] = (sorted_row[1:] != sorted_row[:-1]) | (sorted_value[1:] != sorted_value[:-1])
    ends = np.flatnonzero(last)
    end = ends[np.searchsorted(ends, np.arange(len(order)))]
    counts = np.empty(len(order), np.int64)
    counts[order] = end + 1 - offsets[:-1][sorted_row]
    return counts


def ranking_metrics(ranks: np.ndarray, offsets: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """recall, ndcg, mrr and hit_rate at `k` of each query, float64 `[queries]` in 0…1.

    - recall: targets in the top k / all targets.
    - ndcg: sum of the gains `1 / log2(rank + 1)` of the targets in the top k / the best possible sum, with
      min(targets, k) targets at the top.
    - mrr: 1 / rank of the first target, 0 if it is beyond k.
    - hit_rate: whether any target is in the top k.

    Args:
        ranks: int `[targets]`, from 1.
        offsets: int `[queries + 1]`, where the targets of each query begin; every query has a target.
        k: int. Length of the lists.

    Example:
        >>> ranking_metrics(np.array([1, 12]), np.array([0, 2]), k=10)["recall"]
        array([0.5])
    """
    counts = np.diff(offsets)
    inside = ranks <= k
    gains = np.where(inside, 1 / np.log2(np.where(inside, ranks, 1) + 1.0), 0)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    first = np.minimum.reduceat(ranks, offsets[:-1])
    hits = np.add.reduceat(inside.astype(np.float64), offsets[:-1])
    return {
        "recall": hits / counts,
        "ndcg": np.add.reduceat(gains, offsets[:-1]) / ideal[np.minimum(counts, k)],
        "mrr": np.where(first <= k, 1 / np.minimum(first, k), 0.0),
        "hit_rate": (first <= k).astype(np.float64),
    }


def novelty(lists: np.ndarray, train_counts: np.ndarray) -> np.ndarray:
    """Mean self-information, in bits, of the items of each list: rare items count more.

    An item's information is `-log2((count + 1) / (all counts + items))`, which is finite for an item without training
    events. An empty list has novelty 0.

    Args:
        lists: int `[queries, k]`, −1 for no item.
        train_counts: int `[items]`, number of training events of each item.
    """
    counts = np.asarray(train_counts, np.float64)
    bits = -np.log2((counts + 1) / (counts.sum() + len(counts)))
    return np.append(bits, 0.0)[lists].sum(axis=1) / np.maximum((lists >= 0).sum(axis=1), 1)  # −1 reads the 0


def bootstrap_intervals(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """95% percentile bootstrap intervals of the column means, resampling queries with replacement.

    Args:
        values: float `[queries, metrics]`.
        resamples: int. Number of resamples, at least 1.
        seed: int. The same seed gives the same intervals.

    Returns:
        float64 `[metrics, 2]`: low and high.
    """
    rng = np.random.default_rng(seed)
    queries = len(values)
    means = np.empty((resamples, values.shape[1]))
    for draw in range(resamples):
        times = np.bincount(rng.integers(queries, size=queries), minlength=queries)
        means[draw] = times @ values / queries
    return np.quantile(means, [0.025, 0.975], axis=0).T
