"""The gradient of a softmax over the catalogue, for each person of a chunk."""

from __future__ import annotations

import tensorflow as tf


def catalogue_product(values: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """`values` float32 `[people, length, n]` times `matrix` `[n, m]`, as one product: many small ones are slower."""
    people, length, width = tf.unstack(tf.shape(values))
    flat = tf.matmul(tf.reshape(values, [people * length, width]), matrix)
    return tf.reshape(flat, [people, length, matrix.shape[1]])


def softmax_gradients(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The gradient of each person's mean cross-entropy by the logits, `[people, length, num_items]`; 0 without labels.

    Args:
        logits: float32 `[people, length, num_items]`.
        labels: int32 `[people, length]`, −1 where there is none.
    """
    real = tf.cast(labels >= 0, tf.float32)
    shares = tf.math.divide_no_nan(real, tf.reduce_sum(real, axis=1, keepdims=True))
    people, length, width = tf.unstack(tf.shape(logits))
    flat = tf.reshape(shares[..., None] * tf.nn.softmax(logits), [people * length, width])
    cells = tf.stack([tf.range(people * length), tf.reshape(tf.maximum(labels, 0), [-1])], axis=1)
    by_logits = tf.tensor_scatter_nd_sub(flat, cells, tf.reshape(shares, [-1]))
    return tf.reshape(by_logits, [people, length, logits.shape[-1]])
