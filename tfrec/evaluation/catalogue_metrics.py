"""What all lists together do to the catalogue: how much of it they show, how evenly, and whose items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec.errors import InvalidInput

HEAD = 0.2
"""Share of the catalogue, by training events, that is called its head."""


def gini(values: np.ndarray) -> float:
    """Inequality of amounts: 0 where all are equal, towards 1 where one has everything; 0 where all are 0.

    `Σ (2i − n − 1) xᵢ / (n Σ x)` over the values in rising order.

    Args:
        values: `[n]`, none negative.

    Example:
        >>> gini(np.array([0, 0, 0, 4]))
        0.75
    """
    ordered = np.sort(np.asarray(values, np.float64))
    total, n = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total else 0.0


def head_items(train_counts: np.ndarray, share: float = HEAD) -> np.ndarray:
    """bool `[items]`: the given share of the catalogue with the most training events, at least one item.

    Ties go to the item that is first in the catalogue; an item without a training event is never in it.
    """
    counts = np.asarray(train_counts)
    head = np.zeros(len(counts), bool)
    head[np.argsort(-counts.astype(np.float64), kind="stable")[: max(1, int(share * len(counts)))]] = True
    return head & (counts > 0)


def catalogue_metrics(lists: np.ndarray, train_counts: np.ndarray) -> dict[str, float]:
    """coverage, gini, entropy and head_share of the items in all lists.

    coverage: share of the catalogue in any list. gini: inequality of how often items are shown, over the whole
    catalogue. entropy: of the shown items, in bits, over its maximum, log2 of the items; 1 is even. head_share: share
    of the places that goes to the head (`head_items`). All are 0 when no list has an item.

    Args:
        lists: int `[queries, k]`, −1 for no item. train_counts: `[items]`.

    Example:
        >>> catalogue_metrics(np.array([[0, 1], [0, 1]]), np.array([5, 0, 0, 0]))["coverage"]
        0.5
    """
    items = len(train_counts)
    shown = np.bincount(lists[lists >= 0], minlength=items).astype(np.float64)
    share = shown[shown > 0] / max(shown.sum(), 1)
    bits = -(share * np.log2(share)).sum()
    return {
        "coverage": float((shown > 0).sum() / items),
        "gini": gini(shown),
        "entropy": float(bits / np.log2(items)) if items > 1 else 0.0,
        "head_share": float(shown[head_items(train_counts)].sum() / max(shown.sum(), 1)),
    }


def item_group_exposure(
    lists: np.ndarray, groups: Sequence[Any] | np.ndarray, train_counts: np.ndarray, targets: np.ndarray
) -> pl.DataFrame:
    """How the attention that lists give is shared between groups of items.

    A place's attention is `1 / log2(rank + 1)` (Singh and Joachims, 2018). `disparity` is exposure over merit, where
    merit is the group's share of the targets: 1 is what users asked for; null where nobody asked.

    Args:
        lists: int `[queries, k]`. groups: one label an item; None is the group "(none)".
        train_counts: `[items]`. targets: int, flat.

    Returns:
        One row a group, in name order: group, items (count), catalogue, training, targets, exposure (shares in 0…1),
        disparity.
    """
    if len(groups) != len(train_counts):
        raise InvalidInput(f"Expected one group an item, {len(train_counts)}, received {len(groups)}.")
    names = np.array(["(none)" if group is None else str(group) for group in groups], dtype=object)
    labels, code = np.unique(names, return_inverse=True)
    attention = np.broadcast_to(1 / np.log2(np.arange(2, lists.shape[1] + 2)), lists.shape)
    real = lists >= 0

    def share(codes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        amounts = np.bincount(codes, weights, minlength=len(labels)).astype(np.float64)
        return amounts / max(amounts.sum(), 1e-300)

    exposure, asked = share(code[lists[real]], attention[real]), share(code[targets])
    return pl.DataFrame(
        {
            "group": labels.astype(str),
            "items": np.bincount(code, minlength=len(labels)),
            "catalogue": share(code),
            "training": share(code, np.asarray(train_counts, np.float64)),
            "targets": asked,
            "exposure": exposure,
            "disparity": [float(e / a) if a > 0 else None for e, a in zip(exposure, asked)],
        },
        schema_overrides={"disparity": pl.Float64},
    )
