"""Texts as weighted averages of token vectors: a sparse linear map, and ridge regression on it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class TokenAverages:
    """The linear map from token vectors to the weighted mean of each text. It is never made dense.

    Args:
        ids: int `[n]`, token ids of all texts one after the other.
        lengths: int `[texts]`, tokens of each text; a text without tokens has the mean 0.
        weights: float `[tokens]`, weight of each token of the vocabulary.

    Example:
        >>> averages = TokenAverages(np.array([0, 1, 1]), np.array([2, 1]), np.array([3.0, 1.0]))
        >>> averages.means(np.array([[4.0], [8.0]])).tolist()
        [[5.0], [8.0]]
    """

    def __init__(self, ids: np.ndarray, lengths: np.ndarray, weights: np.ndarray) -> None:
        texts = np.repeat(np.arange(len(lengths)), lengths)
        order = np.argsort(ids, kind="stable")
        self._texts, self._tokens = len(lengths), len(weights)
        self._by_text = tf.constant(ids, tf.int32), tf.constant(texts, tf.int32)
        self._by_token = tf.constant(texts[order], tf.int32), tf.constant(ids[order], tf.int32)
        self._weights = np.asarray(weights, np.float32)[:, None]
        total = np.bincount(texts, weights=self._weights[ids, 0], minlength=len(lengths))
        self._shares = (1 / np.where(total > 0, total, 1)).astype(np.float32)[:, None]

    def means(self, vectors: np.ndarray) -> np.ndarray:
        """The weighted means, float32 `[texts, width]`, of token vectors `[tokens, width]`."""
        weighted = np.asarray(self._weights * vectors, np.float32)
        return self._shares * tf.sparse.segment_sum(weighted, *self._by_text, num_segments=self._texts).numpy()

    def transposed(self, texts: np.ndarray) -> np.ndarray:
        """The transposed map, from `[texts, width]` to float32 `[tokens, width]`."""
        shared = np.asarray(self._shares * texts, np.float32)
        return self._weights * tf.sparse.segment_sum(shared, *self._by_token, num_segments=self._tokens).numpy()


def ridge(averages: TokenAverages, targets: np.ndarray, strength: float, steps: int) -> np.ndarray:
    """Token vectors whose means are close to `targets`: ridge regression by conjugate gradients.

    Args:
        averages: The linear map.
        targets: float32 `[texts, width]`.
        strength: float. Weight of the squared token vectors relative to the squared error of one text.
        steps: int. Steps of the solver.

    Returns:
        float32 `[tokens, width]`; tokens that no text has stay 0.
    """
    residual = averages.transposed(targets)
    solution, direction = np.zeros_like(residual), residual.copy()
    squares = np.square(residual).sum(axis=0)
    for _ in range(steps):
        image = averages.transposed(averages.means(direction)) + strength * direction
        step = squares / np.maximum((direction * image).sum(axis=0), 1e-30)
        solution += step * direction
        residual -= step * image
        squares, before = np.square(residual).sum(axis=0), squares
        direction = residual + squares / np.maximum(before, 1e-30) * direction
    return solution
