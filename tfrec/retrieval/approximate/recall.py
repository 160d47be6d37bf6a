"""How much of the exact result an approximate one holds."""

from __future__ import annotations

import numpy as np


def index_recall(found: np.ndarray, exact: np.ndarray, k: int) -> float:
    """Share of the exact top `k` that is in the found top `k`, the mean over the queries.

    Args:
        found: int `[queries, ≥ k]`, item indices of the approximate search, best first, −1 for none.
        exact: int `[queries, ≥ k]`, those of the exact one.
        k: int. Places that count.

    Returns:
        float in 0…1. Queries without an exact result are left out; 1 where none is left.

    Example:
        >>> index_recall(np.array([[3, 1], [5, -1]]), np.array([[1, 2], [5, -1]]), k=2)
        0.75
    """
    found, exact = np.asarray(found)[:, :k], np.asarray(exact)[:, :k]
    held = ((exact[:, :, None] == found[:, None, :]).any(axis=2) & (exact >= 0)).sum(axis=1)
    real = (exact >= 0).sum(axis=1)
    return float((held[real > 0] / real[real > 0]).mean()) if real.any() else 1.0
