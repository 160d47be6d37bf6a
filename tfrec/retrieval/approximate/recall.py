"""Recall of an approximate search against the exact one."""

from __future__ import annotations

import numpy as np


def index_recall(approximate: np.ndarray, exact: np.ndarray, k: int) -> float:
    """Share of the exact top `k` that is in the approximate top `k`, averaged over the queries.

    Args:
        approximate: int `[queries, ≥ k]`, item indices of the approximate search, best first, padded with −1.
        exact: int `[queries, ≥ k]`, item indices of the exact search, in the same form.
        k: int. Number of positions to compare.

    Returns:
        float in 0…1. Queries without an exact result are left out; 1 if none is left.

    Example:
        >>> index_recall(np.array([[3, 1], [5, -1]]), np.array([[1, 2], [5, -1]]), k=2)
        0.75
    """
    approximate, exact = np.asarray(approximate)[:, :k], np.asarray(exact)[:, :k]
    hits = ((exact[:, :, None] == approximate[:, None, :]).any(axis=2) & (exact >= 0)).sum(axis=1)
    total = (exact >= 0).sum(axis=1)
    return float((hits[total > 0] / total[total > 0]).mean()) if total.any() else 1.0
