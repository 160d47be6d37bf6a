"""How close a student's vectors are to the teacher's: cosine, and the nearest items of each item."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 10
_BLOCK = 1024  # items compared with the catalogue at a time


def mean_cosine(vectors: np.ndarray, targets: np.ndarray) -> float:
    """The mean cosine of pairs of vectors, float `[n, width]` each.

    Example:
        >>> mean_cosine(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
        0.5
    """
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(targets, axis=1)
    return float(((vectors * targets).sum(axis=1) / np.maximum(norms, 1e-12)).mean())


def neighbour_overlap(vectors: np.ndarray, targets: np.ndarray, rows: np.ndarray, k: int = NEIGHBOURS) -> float:
    """The share of an item's `k` nearest other items that student and teacher have in common, mean over `rows`.

    Args:
        vectors: float32 `[items, width]`, the student's, of unit length.
        targets: float32 `[items, width of the teacher]`, the teacher's, of unit length.
        rows: int `[n]`, the items whose neighbours are compared; they are looked for among all items.
        k: int. Neighbours; at most one fewer than there are items.

    Example:
        >>> line = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> neighbour_overlap(line, line[:, ::-1], np.arange(3), k=1)
        1.0
    """
    k = min(k, len(vectors) - 1)
    shared = []
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        mine, theirs = _nearest(vectors, part, k), _nearest(targets, part, k)
        shared.append((mine[:, :, None] == theirs[:, None, :]).any(axis=2).mean(axis=1))
    return float(np.concatenate(shared).mean())


def _nearest(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    cosines = vectors[rows] @ vectors.T
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.argpartition(-cosines, k - 1, axis=1)[:, :k]
