"""Metrics of each list: precision, diversity, unexpectedness, serendipity, popularity, miscalibration.

Lists are int `[queries, k]` item indices, best first, padded with −1 at the end. The metrics return one value per
query, float64 `[queries]`. docs/metrics.md has all formulas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.data.histories import Histories, row_numbers
from tfrec.data.pair_set import PairSet
from tfrec.errors import InvalidInput
from tfrec.retrieval.unit_vectors import unit_vectors

MIXING = 0.01
"""Share of the history's distribution mixed into the list's, so that the divergence is finite if a category is missing
(Steck, 2018, uses α = 0.01)."""
_BLOCK = 4096


def precision_metrics(ranks: np.ndarray, offsets: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """precision and map at `k`, from the ranks of the targets.

    - precision: number of targets in the top k, divided by k, even if the list is shorter.
    - map: sum of the precisions at each target in the top k, divided by the number of all targets (trec_eval's
      map_cut).

    Args:
        ranks: int `[targets]`, from 1, distinct within a query.
        offsets: int `[queries + 1]`, where the targets of each query begin; every query has a target.
        k: int. Length of the lists.

    Example:
        >>> precision_metrics(np.array([1, 3]), np.array([0, 2]), k=4)["map"]
        array([0.83333333])
    """
    counts = np.diff(offsets)
    row = row_numbers(counts)
    order = np.lexsort((ranks, row))
    place = np.arange(len(ranks)) - offsets[:-1][row]
    ordered = ranks[order]
    inside = ordered <= k
    precisions = np.where(inside, (place + 1) / np.where(inside, ordered, 1), 0.0)
    return {
        "precision": np.add.reduceat(inside.astype(np.float64), offsets[:-1]) / k,
        "map": np.add.reduceat(precisions, offsets[:-1]) / counts,
    }


def intra_list_diversity(lists: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """One minus the mean cosine over the pairs of items in each list (Ziegler et al., 2005).

    It is 0 for a list with fewer than two items.

    Args:
        lists: int `[queries, k]`.
        vectors: float `[items, dim]`; only their directions count. A zero vector has cosine 0 to every vector.

    Example:
        >>> intra_list_diversity(np.array([[0, 1], [0, -1]]), np.eye(2))
        array([1., 0.])
    """
    unit = unit_vectors(vectors)
    result = np.zeros(len(lists))
    for start in range(0, len(lists), _BLOCK):
        part = lists[start : start + _BLOCK]
        real = part >= 0
        members = np.where(real[..., None], unit[np.maximum(part, 0)], 0)
        # ‖Σ v‖² = Σ ‖v‖² + the sum of the cosines over all ordered pairs.
        together = np.square(members.sum(axis=1, dtype=np.float64)).sum(axis=1)
        alone = np.square(members, dtype=np.float64).sum(axis=(1, 2))
        pairs = real.sum(axis=1) * (real.sum(axis=1) - 1.0)
        result[start : start + _BLOCK] = np.where(pairs > 0, 1 - (together - alone) / np.maximum(pairs, 1), 0)
    return result


def unexpectedness(lists: np.ndarray, histories: Histories, vectors: np.ndarray, recent: int = 50) -> np.ndarray:
    """How far the items of a list are from the user's history: the mean of one minus the highest cosine to it.

    After Kaminskas and Bridge (2016). An empty list has 0; with an empty history every item counts 1.

    Args:
        lists: int `[queries, k]`.
        histories: One row per query.
        vectors: float `[items, dim]`; only their directions count.
        recent: int. Number of the newest events of the history to compare with.
    """
    unit = unit_vectors(vectors)
    result = np.zeros(len(lists))
    for query, items in enumerate(lists):
        items = items[items >= 0]
        row = histories.row(query)
        past = histories.items[max(row.start, row.stop - recent) : row.stop]
        if len(items):
            nearest = (unit[items] @ unit[past].T).max(axis=1) if len(past) else 0.0
            result[query] = np.mean(1 - nearest)
    return result


def serendipity(
    lists: np.ndarray, target_offsets: np.ndarray, targets: np.ndarray, train_counts: np.ndarray
) -> np.ndarray:
    """Number of targets in the list that are not among the k most popular items, divided by k.

    After Ge, Delgado-Battenfeld and Jannach (2010), with popularity as the primitive recommender. Ties in popularity go
    to the item first in the catalogue.

    Args:
        lists: int `[queries, k]`.
        target_offsets: int `[queries + 1]`, where the targets of each query begin.
        targets: int `[targets]`, item indices, distinct within a query.
        train_counts: int `[items]`, number of training events of each item.

    Example:
        >>> serendipity(np.array([[2, 0]]), np.array([0, 2]), np.array([0, 2]), np.array([9, 8, 1]))
        array([0.5])
    """
    k = lists.shape[1]
    obvious = np.zeros(len(train_counts), bool)
    obvious[np.argsort(-np.asarray(train_counts, np.float64), kind="stable")[:k]] = True
    is_hit = hits(lists, target_offsets, targets, len(train_counts))
    return (is_hit & ~obvious[np.maximum(lists, 0)]).sum(axis=1) / k


def hits(lists: np.ndarray, target_offsets: np.ndarray, targets: np.ndarray, num_items: int) -> np.ndarray:
    """Whether each position of each list shows a target of the query, bool `[queries, k]`."""
    wanted = PairSet(row_numbers(np.diff(target_offsets)), targets, num_items)
    is_hit = np.empty(lists.shape, bool)
    for start in range(0, len(lists), _BLOCK):
        part = lists[start : start + _BLOCK]
        rows = np.arange(start, start + len(part))[:, None]
        is_hit[start : start + _BLOCK] = wanted.contains(rows, np.maximum(part, 0)) & (part >= 0)
    return is_hit


def list_popularity(lists: np.ndarray, train_counts: np.ndarray) -> np.ndarray:
    """Mean number of training events of the items of each list (average recommendation popularity); 0 if empty."""
    counts = np.append(np.asarray(train_counts, np.float64), 0.0)  # index −1, padding, reads this 0
    return counts[lists].sum(axis=1) / np.maximum((lists >= 0).sum(axis=1), 1)


def popularity_lift(lists: np.ndarray, histories: Histories, train_counts: np.ndarray) -> np.ndarray:
    """How much more popular a list is than the user's history: list popularity / history popularity − 1.

    Abdollahpouri et al. (2020). 0 matches the user's taste; above 0 the list favours popular items. It is NaN, and so
    ignored in means, if the list or the history is empty or no item of the history has a training event.

    Args:
        lists: int `[queries, k]`.
        histories: One row per query.
        train_counts: int `[items]`, number of training events of each item.
    """
    counts = np.asarray(train_counts, np.float64)
    lengths = histories.lengths
    taste = np.bincount(histories.rows, counts[histories.items], minlength=len(lengths)) / np.maximum(lengths, 1)
    usable = (taste > 0) & (lists >= 0).any(axis=1)
    return np.where(usable, list_popularity(lists, counts) / np.where(taste > 0, taste, 1) - 1, np.nan)


def miscalibration(lists: np.ndarray, histories: Histories, categories: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence (natural log) of each list's categories from those of the history (Steck, 2018).

    It is 0 if the list has the proportions of the history. A share `MIXING` of the history's distribution is mixed into
    the list's. It is NaN, and so ignored in means, if the list or the history has no item with a category.

    Args:
        lists: int `[queries, k]`.
        histories: One row per query.
        categories: float `[items, categories]`. Each row is a distribution, or all zeros for an item without category
            (see `category_matrix`).
    """
    shown = np.where((lists >= 0)[..., None], categories[np.maximum(lists, 0)], 0).sum(axis=1)
    past = np.zeros((len(histories), categories.shape[1]))
    np.add.at(past, histories.rows, categories[histories.items])
    usable = (past.sum(axis=1) > 0) & (shown.sum(axis=1) > 0)
    p = past / np.maximum(past.sum(axis=1, keepdims=True), 1e-300)
    q = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1e-300)
    mixed = (1 - MIXING) * q + MIXING * p
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, mixed, 1)), 0)
    return np.where(usable, terms.sum(axis=1), np.nan)


def category_matrix(labels: Sequence[str | None], separator: str = "|") -> tuple[np.ndarray, list[str]]:
    """The categories of items as distributions, with equal shares for the labels of an item.

    Args:
        labels: One string per item, with its labels joined by the separator; None or "" for no label.
        separator: str. Separator of the labels.

    Returns:
        matrix: float64 `[items, categories]`. names: the categories, sorted.

    Example:
        >>> category_matrix(["Drama|Comedy", None, "Drama"])
        (array([[0.5, 0.5], [0. , 0. ], [0. , 1. ]]), ['Comedy', 'Drama'])
    """
    split = [sorted({part.strip() for part in (label or "").split(separator)} - {""}) for label in labels]
    names = sorted({part for parts in split for part in parts})
    if not names:
        raise InvalidInput("Expected categories of items, received none: the column is empty. Choose another column.")
    index = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(split), len(names)))
    for item, parts in enumerate(split):
        for part in parts:
            matrix[item, index[part]] = 1 / len(parts)
    return matrix, names
