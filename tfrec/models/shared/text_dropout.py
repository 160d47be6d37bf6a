"""Replaces items' text vectors in training with those of shortened texts."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class TextVersions:
    """At each step, replaces each item's vector, with probability 1/2, by that of one of its shortened texts.

    Args:
        vectors: float32 `[versions, num_items, text_dim]`, vectors of the shortened texts.
        seed: int. Seed of the random choices.

    Example:
        >>> versions = TextVersions(np.ones((1, 4, 2), np.float32))
        >>> versions.draw(tf.zeros([4, 2]), None, step=0).numpy()[:, 0]
        array([0., 1., 0., 0.], dtype=float32)
    """

    def __init__(self, vectors: np.ndarray, seed: int = 0) -> None:
        self.versions, self.num_items, _ = vectors.shape
        self.vectors = tf.constant(vectors.reshape(-1, vectors.shape[-1]), tf.float32)
        self.seed = seed

    def draw(self, text: tf.Tensor, indices: tf.Tensor | None, step: tf.Tensor | int) -> tf.Tensor:
        """The text vectors of a step; they depend only on the seed and the step.

        Args:
            text: float32 `[n, text_dim]`, vectors of the full texts.
            indices: int32 `[n]`, indices of the items; None for the whole catalogue.
            step: int scalar.

        Returns:
            float32 `[n, text_dim]`.
        """
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        version = tf.random.stateless_uniform([self.num_items], seed, -self.versions, self.versions, tf.int32)
        indices = tf.range(self.num_items) if indices is None else indices
        version = tf.gather(version, indices)
        shortened = tf.gather(self.vectors, tf.maximum(version, 0) * self.num_items + indices)
        return tf.where((version >= 0)[:, None], shortened, text)
