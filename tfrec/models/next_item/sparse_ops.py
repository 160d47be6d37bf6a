"""Values at a few columns of each row: indices and values `[rows, n]`."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def scattered(indices: tf.Tensor, values: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Zeros of `shape` `[rows, columns]` with values float32 `[rows, n]` added at indices int32 `[rows, n]`; what is at
    −1 is left out."""
    return tf.scatter_nd(cells_of(indices), tf.where(indices >= 0, values, 0.0), shape)


def spread(indices: tf.Tensor, values: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """`scattered` to `[rows, width]` for training steps: several times as fast on a processor, where `tf.scatter_nd`
    adds one number after the other on one core. The values have a gradient.

    Example:
        >>> spread(tf.constant([[0, 2, 0], [1, -1, -1]]), tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 3).numpy()
        array([[4., 0., 2.],
               [0., 4., 0.]], dtype=float32)
    """

    @tf.custom_gradient
    def of(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        columns = tf.where(indices >= 0, indices, width)  # which is beyond the last, and left out
        sums = tf.raw_ops.DenseBincount(input=columns, size=width, weights=values)

        def backward(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(indices >= 0, tf.gather(upstream, tf.maximum(indices, 0), batch_dims=1), 0.0)

        return sums, backward

    return of(values)


def add_at(scores: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Adds values `[rows, n]` to scores `[rows, num_items]` at indices `[rows, n]`; those of one index add up, and what
    is at −1 is left out."""
    return tf.tensor_scatter_nd_add(scores, cells_of(indices), tf.where(indices >= 0, values, 0.0))


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


def columns_of(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """int32 `[num_items]`: the place of each item among distinct `items` int32 `[m]`, of which −1 is none; −1 where it
    is not there.

    Example:
        >>> columns_of(tf.constant([3, 1]), 5).numpy()
        array([-1,  1, -1,  0, -1], dtype=int32)
    """
    places = tf.where(items >= 0, tf.range(tf.size(items)), -1)
    return tf.tensor_scatter_nd_max(tf.fill([num_items], -1), tf.maximum(items, 0)[:, None], places)


def lookup_columns(columns: tf.Tensor | None, items: tf.Tensor) -> tf.Tensor:
    """Columns of items int32 of any shape, by `columns_of`; −1 for −1. None is a column an item."""
    return items if columns is None else tf.where(items >= 0, tf.gather(columns, tf.maximum(items, 0)), -1)
