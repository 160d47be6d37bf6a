"""The newest events of histories that are padded on the right."""

from __future__ import annotations

import tensorflow as tf


def newest(items: tf.Tensor) -> tf.Tensor:
    """The last real item of each row of int32 `[batch, length]`; −1 where there is none."""
    length = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    return tf.gather(items, tf.maximum(length - 1, 0), axis=1, batch_dims=1)


def newest_places(items: tf.Tensor, most: int) -> tf.Tensor:
    """Columns of the newest `most` events of each row, oldest first, and then of its padding.

    Args:
        items: int32 `[batch, length]`, −1 is padding.
        most: int.

    Returns:
        int32 `[batch, min(length, most)]`.

    Example:
        >>> newest_places(tf.constant([[5, 6, 7], [8, -1, -1]]), most=2).numpy()
        array([[1, 2],
               [0, 1]], dtype=int32)
    """
    count = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    return tf.maximum(count - most, 0)[:, None] + tf.range(tf.minimum(tf.shape(items)[1], most))


def rows_at(values: tf.Tensor, real: tf.Tensor, every_place: bool = False) -> tf.Tensor:
    """Values `[batch, length, ...]` at the real places, one below the other: `[places, ...]`.

    How many these are is known when it is too late for XLA; with `every_place` all are taken, `[batch * length, ...]`,
    and what is not real is to be left out of the sum that is made of them.
    """
    if not every_place:
        return tf.boolean_mask(values, real)
    return tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0))
