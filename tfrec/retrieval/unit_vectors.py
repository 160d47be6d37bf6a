"""Scales vectors to unit length, so that dot products are cosines."""

from __future__ import annotations

import numpy as np


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Scales the rows of float `[n, dim]` to unit length, float32. Rows of zeros stay zero.

    Example:
        >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
