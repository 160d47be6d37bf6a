"""Metrics of all lists together: how much of the catalogue they show, how evenly, and from which item groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec.data.histories import concatenate_ranges
from tfrec.errors import InvalidInput
from tfrec.evaluation.group_labels import members

HEAD = 0.2
"""Share of the items that counts as the head: the most popular 20%, the usual cut of the 80/20 rule."""


def gini(values: np.ndarray) -> float:
    """The Gini index of inequality: 0 if all values are equal, close to 1 if one value has everything.

    `Σ (2i − n − 1) xᵢ / (n Σ x)` over the values in ascending order; 0 if all values are 0.

    Args:
        values: float `[n]`, none negative.

    Example:
        >>> gini(np.array([0, 0, 0, 4]))
        0.75
    """
    ordered = np.sort(np.asarray(values, np.float64))
    total, n = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total else 0.0


def head_items(train_counts: np.ndarray, share: float = HEAD) -> np.ndarray:
    """Whether each item belongs to the head: the `share` of the items with the most training events, bool `[items]`.

    Ties go to the item first in the catalogue. Items without training events never belong to the head.
    """
    counts = np.asarray(train_counts)
    head = np.zeros(len(counts), bool)
    head[np.argsort(-counts.astype(np.float64), kind="stable")[: max(1, int(share * len(counts)))]] = True
    return head & (counts > 0)


def catalogue_metrics(lists: np.ndarray, train_counts: np.ndarray, candidates: int | None = None) -> dict[str, float]:
    """coverage, gini, entropy and head_share of all lists together.

    - coverage: share of the candidates that occur in any list.
    - gini: inequality of how often candidates are shown, over all of them.
    - entropy: entropy of the shown items divided by its maximum, log2 of the candidates; 1 is perfectly even.
    - head_share: share of the list positions that show items of the head (`head_items`).

    All are 0 if no list has an item.

    Args:
        lists: int `[queries, k]`, −1 for no item.
        train_counts: int `[items]`, number of training events of each item.
        candidates: int. Number of items that lists may hold; None for all.

    Example:
        >>> catalogue_metrics(np.array([[0, 1], [0, 1]]), np.array([5, 0, 0, 0]))["coverage"]
        0.5
    """
    items = len(train_counts)
    among = items if candidates is None else candidates
    shown = np.bincount(lists[lists >= 0], minlength=items).astype(np.float64)
    share = shown[shown > 0] / max(shown.sum(), 1)
    bits = -(share * np.log2(share)).sum()
    return {
        "coverage": float((shown > 0).sum() / among),
        "gini": gini(np.sort(shown)[-among:]),  # what is no candidate is shown 0 times
        "entropy": float(bits / np.log2(among)) if among > 1 else 0.0,
        "head_share": float(shown[head_items(train_counts)].sum() / max(shown.sum(), 1)),
    }


def item_group_exposure(
    lists: np.ndarray, groups: Sequence[Any] | np.ndarray, train_counts: np.ndarray, targets: np.ndarray
) -> pl.DataFrame:
    """How the exposure in lists is distributed over groups of items.

    The exposure of a list position is `1 / log2(rank + 1)` (Singh and Joachims, 2018). `disparity` is a group's share
    of the exposure divided by its share of the targets: 1 matches demand. It is null for a group without targets. An
    item of several groups counts in equal parts in each.

    Args:
        lists: int `[queries, k]`, −1 for no item.
        groups: One label per item, several as a|b; None becomes the group "(none)".
        train_counts: int `[items]`, number of training events of each item.
        targets: int `[targets]`, item indices of all targets.

    Returns:
        One row per group, in name order: group, items (count), catalogue, training, targets and exposure (shares in
        0…1), disparity.
    """
    if len(groups) != len(train_counts):
        raise InvalidInput(f"Expected one group per item, {len(train_counts)}; received {len(groups)}.")
    found = members(groups)
    first, several = found.offsets[:-1], np.diff(found.offsets)
    weight = np.broadcast_to(1 / np.log2(np.arange(2, lists.shape[1] + 2)), lists.shape)
    real = lists >= 0

    def share(items: np.ndarray, weights: np.ndarray) -> np.ndarray:
        counts = several[items]
        codes = found.codes[concatenate_ranges(first[items], counts)]
        amounts = np.bincount(codes, np.repeat(weights / counts, counts), minlength=len(found.labels))
        return amounts / max(amounts.sum(), 1e-300)

    every = np.arange(len(groups))
    exposure, demand = share(lists[real], weight[real]), share(targets, np.ones(len(targets)))
    return pl.DataFrame(
        {
            "group": found.labels.astype(str),
            "items": np.bincount(found.codes, minlength=len(found.labels)),
            "catalogue": share(every, np.ones(len(every))),
            "training": share(every, np.asarray(train_counts, np.float64)),
            "targets": demand,
            "exposure": exposure,
            "disparity": [float(e / d) if d > 0 else None for e, d in zip(exposure, demand)],
        },
        schema_overrides={"disparity": pl.Float64},
    )
