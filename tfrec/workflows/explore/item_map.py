"""The items on a plane: the two directions in which their vectors differ most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

MOST_DOTS = 1500
"""Dots that a browser draws and redraws without a wait; of a larger catalogue the most popular are shown."""


@dataclass(frozen=True)
class ItemMap:
    """A plane with all items.

    Args:
        positions: float32 `[items, 2]` in 0…1, across and up.
        share: float in 0…1. Share of the vectors' variance that the two axes show.
    """

    positions: np.ndarray
    share: float


def item_map(vectors: np.ndarray) -> ItemMap:
    """Principal components of item vectors, float `[items, dim]`, each stretched to 0…1.

    An axis points to where the number that weighs most in it grows, so that the same vectors give the same map.

    Example:
        >>> item_map(np.array([[0.0, 3.0], [0.0, 1.0], [0.0, -1.0]])).positions[:, 0].tolist()
        [1.0, 0.5, 0.0]
    """
    centred = np.asarray(vectors, np.float64)
    centred = centred - centred.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = directions[:, ::-1][:, :2]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    plane = centred @ (axes * np.where(largest < 0, -1.0, 1.0))
    if plane.shape[1] < 2:
        plane = np.column_stack([plane, np.zeros(len(plane))])
    low, width = plane.min(axis=0), np.ptp(plane, axis=0)
    flat = width < 1e-9  # all items at one place of this axis
    positions = np.where(flat, 0.5, (plane - low) / np.where(flat, 1.0, width))
    whole = variances.sum()
    return ItemMap(positions.astype(np.float32), float(variances[::-1][:2].sum() / whole) if whole > 0 else 1.0)


def shown_places(counts: np.ndarray, marked: Iterable[int], most: int = MOST_DOTS) -> np.ndarray:
    """Which items are drawn as dots: the most popular, without those that are marked in another way.

    Args:
        counts: int `[items]`, training events.
        marked: Places of the items with a mark of their own.
        most: int. Dots, at most.

    Returns:
        int64, places in the catalogue, the most popular first.
    """
    order = np.argsort(-counts, kind="stable")
    return order[~np.isin(order, np.fromiter(marked, np.int64))][:most]
