"""Projects item vectors onto the plane of their first two principal components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

MOST_DOTS = 1500
"""Dots that a browser draws without noticeable delay; of a larger catalogue only the most popular items are shown."""


@dataclass(frozen=True)
class ItemMap:
    """Positions of all items on a plane.

    Args:
        positions: float32 `[items, 2]` in 0…1, horizontal and vertical.
        share: float in 0…1. Share of the vectors' variance that the two axes show.
    """

    positions: np.ndarray
    share: float


def item_map(vectors: np.ndarray) -> ItemMap:
    """The first two principal components of item vectors, float `[items, dim]`, each scaled to 0…1.

    The sign of an axis is chosen so that its largest coefficient is positive; the map is therefore reproducible.

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
    flat = width < 1e-9  # all items coincide on this axis
    positions = np.where(flat, 0.5, (plane - low) / np.where(flat, 1.0, width))
    whole = variances.sum()
    return ItemMap(positions.astype(np.float32), float(variances[::-1][:2].sum() / whole) if whole > 0 else 1.0)


def shown_places(counts: np.ndarray, marked: Iterable[int], most: int = MOST_DOTS) -> np.ndarray:
    """The items to draw as dots: the most popular ones without those marked in another way.

    Args:
        counts: int `[items]`, training events.
        marked: Catalogue indices of the items that have a mark.
        most: int. Maximum number of dots.

    Returns:
        int64 `[dots]`, catalogue indices, most popular first.
    """
    order = np.argsort(-counts, kind="stable")
    return order[~np.isin(order, np.fromiter(marked, np.int64))][:most]
