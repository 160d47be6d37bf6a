"""What each list is like beside being right: precise, diverse, unexpected, popular, calibrated.

Lists are int `[queries, k]`, catalogue indices, best first, −1 (at the end) for no item. Every function returns one
value a query, float64 `[queries]`. The formulas are on one page: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

MIXING = 0.01
"""Share of the history's distribution mixed into the list's, so that a missing category costs a finite amount."""
_BLOCK = 4096


def precision_metrics(ranks: np.ndarray, offsets: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """precision and map at `k`, from the ranks of the targets.

    precision: targets in the top k over k, however short the list. map: the precision at each target in the top k,
    summed, over all targets (as trec_eval's map_cut).

    Args:
        ranks: int `[all targets]`, from 1, distinct within a query.
        offsets: int `[queries + 1]`; every query has a target.
        k: int.

    Example:
        >>> precision_metrics(np.array([1, 3]), np.array([0, 2]), k=4)["map"]
        array([0.83333333])
    """
    counts = np.diff(offsets)
    row = np.repeat(np.arange(len(counts)), counts)
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
    """One minus the mean cosine over the pairs of each list (Ziegler et al., 2005); 0 with fewer than two items.

    Args:
        lists: int `[queries, k]`.
        vectors: float `[items, dim]`, of any length; a zero vector has cosine 0 to all.

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
        # The pairs' cosines are what the square of the sum has beside the squares of the members.
        together = np.square(members.sum(axis=1, dtype=np.float64)).sum(axis=1)
        alone = np.square(members, dtype=np.float64).sum(axis=(1, 2))
        pairs = real.sum(axis=1) * (real.sum(axis=1) - 1.0)
        result[start : start + _BLOCK] = np.where(pairs > 0, 1 - (together - alone) / np.maximum(pairs, 1), 0)
    return result


def unexpectedness(lists: np.ndarray, histories: Histories, vectors: np.ndarray, recent: int = 50) -> np.ndarray:
    """How far the items of a list are from the user's own: the mean of one minus the highest cosine to the history.

    After Kaminskas and Bridge (2016). An empty list has 0; with an empty history every item has 1.

    Args:
        lists: int `[queries, k]`. histories: one row a query. vectors: float `[items, dim]`.
        recent: int. Events of the history that are compared, the last ones.
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
    """Targets in the list that the equally long list of the most popular items would not have shown, over k.

    After Ge, Delgado-Battenfeld and Jannach (2010), with popularity as the primitive recommender. Ties of popularity go
    to the item that is first in the catalogue.

    Args:
        lists: int `[queries, k]`. target_offsets: int `[queries + 1]`. targets: int, flat, distinct within a query.
        train_counts: `[items]`, training events of each item.

    Example:
        >>> serendipity(np.array([[2, 0]]), np.array([0, 2]), np.array([0, 2]), np.array([9, 8, 1]))
        array([0.5])
    """
    k = lists.shape[1]
    obvious = np.zeros(len(train_counts), bool)
    obvious[np.argsort(-np.asarray(train_counts, np.float64), kind="stable")[:k]] = True
    found = hits(lists, target_offsets, targets, len(train_counts))
    return (found & ~obvious[np.maximum(lists, 0)]).sum(axis=1) / k


def hits(lists: np.ndarray, target_offsets: np.ndarray, targets: np.ndarray, num_items: int) -> np.ndarray:
    """Which places of each list hold a target of the query, bool like `lists`."""
    row = np.repeat(np.arange(len(lists), dtype=np.int64), np.diff(target_offsets))
    wanted = np.sort(row * num_items + targets)
    found = np.empty(lists.shape, bool)
    for start in range(0, len(lists), _BLOCK):
        part = lists[start : start + _BLOCK]
        shown = np.arange(start, start + len(part), dtype=np.int64)[:, None] * num_items + np.maximum(part, 0)
        at = np.minimum(np.searchsorted(wanted, shown), len(wanted) - 1)
        found[start : start + _BLOCK] = (wanted[at] == shown) & (part >= 0)
    return found


def list_popularity(lists: np.ndarray, train_counts: np.ndarray) -> np.ndarray:
    """Mean training events of the items of each list (average recommendation popularity); an empty list has 0."""
    counts = np.append(np.asarray(train_counts, np.float64), 0.0)  # the last is for −1
    return counts[lists].sum(axis=1) / np.maximum((lists >= 0).sum(axis=1), 1)


def popularity_lift(lists: np.ndarray, histories: Histories, train_counts: np.ndarray) -> np.ndarray:
    """How much more popular a list is than its user's taste: list popularity over history popularity, minus 1.

    Abdollahpouri et al. (2020). 0 is as the user likes it, above 0 is a push to the popular. NaN, and so left out of
    means, for an empty history or list and for a history of items without a training event.

    Args:
        lists: int `[queries, k]`. histories: one row a query. train_counts: `[items]`.
    """
    counts = np.asarray(train_counts, np.float64)
    lengths = histories.lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    taste = np.bincount(row, counts[histories.items], minlength=len(lengths)) / np.maximum(lengths, 1)
    usable = (taste > 0) & (lists >= 0).any(axis=1)
    return np.where(usable, list_popularity(lists, counts) / np.where(taste > 0, taste, 1) - 1, np.nan)


def miscalibration(lists: np.ndarray, histories: Histories, categories: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence (natural log) of each list's categories from those of the history (Steck, 2018).

    0 where the list has the history's proportions. The list's distribution has `MIXING` of the history's mixed in. NaN,
    and so left out of means, where the history or the list has no item with a category.

    Args:
        lists: int `[queries, k]`. histories: one row a query.
        categories: float `[items, categories]`, a distribution a row, or zeros for none (see `category_matrix`).
    """
    shown = np.where((lists >= 0)[..., None], categories[np.maximum(lists, 0)], 0).sum(axis=1)
    row = np.repeat(np.arange(len(histories)), histories.lengths)
    past = np.zeros((len(histories), categories.shape[1]))
    np.add.at(past, row, categories[histories.items])
    usable = (past.sum(axis=1) > 0) & (shown.sum(axis=1) > 0)
    p = past / np.maximum(past.sum(axis=1, keepdims=True), 1e-300)
    q = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1e-300)
    mixed = (1 - MIXING) * q + MIXING * p
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, mixed, 1)), 0)
    return np.where(usable, terms.sum(axis=1), np.nan)


def category_matrix(labels: Sequence[str | None], separator: str = "|") -> tuple[np.ndarray, list[str]]:
    """The categories of items as distributions: each label of an item gets an equal share.

    Args:
        labels: One an item; several are separated; None or "" is none.
        separator: str.

    Returns:
        float64 `[items, categories]` and the names of the categories, sorted.

    Example:
        >>> category_matrix(["Drama|Comedy", None, "Drama"])
        (array([[0.5, 0.5], [0. , 0. ], [0. , 1. ]]), ['Comedy', 'Drama'])
    """
    split = [sorted({part.strip() for part in (label or "").split(separator)} - {""}) for label in labels]
    names = sorted({part for parts in split for part in parts})
    if not names:
        raise InvalidInput("Expected categories of items, received none: the column is empty. Choose another.")
    index = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(split), len(names)))
    for item, parts in enumerate(split):
        for part in parts:
            matrix[item, index[part]] = 1 / len(parts)
    return matrix, names


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """The vectors at length 1, float32; a zero vector stays zero."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
