"""Values at a few columns of each row: indices and values `[rows, n]`."""

from __future__ import annotations

import tensorflow as tf


def scattered(indices: tf.Tensor, values: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Zeros of `shape` `[rows, columns]` with values float32 `[rows, n]` added at indices int32 `[rows, n]`; −1 is read
    as 0, and should come with the value 0."""
    return tf.scatter_nd(cells_of(indices), values, shape)


def cells_of(indices: tf.Tensor) -> tf.Tensor:
    """(row, index) of int32 `[rows, n]`, int32 `[rows, n, 2]`; −1 is read as 0."""
    rows = tf.broadcast_to(tf.range(tf.shape(indices)[0])[:, None], tf.shape(indices))
    return tf.stack([rows, tf.maximum(indices, 0)], axis=-1)


def summed_by_index(indices: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums the values of each index within a row; the shapes stay, what is left over is index 0 and value 0."""
    batch, width = tf.unstack(tf.shape(indices))
    order = tf.argsort(indices, axis=1, stable=True)
    indices, values = tf.gather(indices, order, batch_dims=1), tf.gather(values, order, batch_dims=1)
    starts = tf.concat([tf.ones([batch, 1], tf.bool), indices[:, 1:] != indices[:, :-1]], axis=1)
    run = tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1
    cell = tf.reshape(run + tf.range(batch)[:, None] * width, [-1])
    summed = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), cell, batch * width)
    item = tf.math.unsorted_segment_max(tf.reshape(indices, [-1]), cell, batch * width)
    return tf.reshape(tf.maximum(item, 0), [batch, width]), tf.reshape(summed, [batch, width])
