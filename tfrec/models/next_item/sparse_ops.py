"""Sparse operations on rows that are given by indices and values `[rows, n]`."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def scatter_sum(indices: tf.Tensor, values: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Sums of the values by index, a dense tensor of `shape`.

    Args:
        indices: int32 `[rows, n]`, columns; −1 is ignored.
        values: float32 `[rows, n]`.
        shape: int32 `[2]`: rows, columns.
    """
    return tf.scatter_nd(cell_indices(indices), tf.where(indices >= 0, values, 0.0), shape)


def bincount_scatter_sum(indices: tf.Tensor, values: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """As `scatter_sum` with shape `[rows, width]`, several times as fast on a processor: `tf.scatter_nd` adds one value
    at a time on one core, a weighted bincount uses all. Has a gradient for the values.

    Args:
        indices: int32 `[rows, n]`, columns; −1 is ignored.
        values: float32 `[rows, n]`.
        width: int32 scalar. Number of columns.

    Returns:
        float32 `[rows, width]`.

    Example:
        >>> indices, values = tf.constant([[0, 2, 0], [1, -1, -1]]), tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> bincount_scatter_sum(indices, values, 3).numpy()
        array([[4., 0., 2.],
               [0., 4., 0.]], dtype=float32)
    """

    @tf.custom_gradient
    def summed(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        columns = tf.where(indices >= 0, indices, width)  # beyond the last column, where bincount ignores it
        sums = tf.raw_ops.DenseBincount(input=columns, size=width, weights=values)

        def backward(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(indices >= 0, tf.gather(upstream, tf.maximum(indices, 0), batch_dims=1), 0.0)

        return sums, backward

    return summed(values)


def scatter_add(scores: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Scores with the values added: float32 `[rows, num_items]`.

    Args:
        scores: float32 `[rows, num_items]`.
        indices: int32 `[rows, n]`, items; −1 is ignored.
        values: float32 `[rows, n]`. Values of the same index add up.
    """
    return tf.tensor_scatter_nd_add(scores, cell_indices(indices), tf.where(indices >= 0, values, 0.0))


def cell_indices(indices: tf.Tensor) -> tf.Tensor:
    """(row, column) of each of the indices int32 `[rows, n]`: int32 `[rows, n, 2]`. −1 becomes column 0."""
    rows = tf.broadcast_to(tf.range(tf.shape(indices)[0])[:, None], tf.shape(indices))
    return tf.stack([rows, tf.maximum(indices, 0)], axis=-1)


def sum_duplicates(indices: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Distinct indices of each row with the sums of their values, in the same shape; the rest is index 0 and value 0.

    Args:
        indices: int32 `[rows, n]`.
        values: float32 `[rows, n]`.
    """
    batch, width = tf.unstack(tf.shape(indices))
    order = tf.argsort(indices, axis=1, stable=True)
    indices, values = tf.gather(indices, order, batch_dims=1), tf.gather(values, order, batch_dims=1)
    starts = tf.concat([tf.ones([batch, 1], tf.bool), indices[:, 1:] != indices[:, :-1]], axis=1)
    run = tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1
    cell = tf.reshape(run + tf.range(batch)[:, None] * width, [-1])
    summed = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), cell, batch * width)
    item = tf.math.unsorted_segment_max(tf.reshape(indices, [-1]), cell, batch * width)
    return tf.reshape(tf.maximum(item, 0), [batch, width]), tf.reshape(summed, [batch, width])


def item_columns(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """The position of each item of the catalogue in `items`, int32 `[num_items]`; −1 for items that are not in it.

    Args:
        items: int32 `[m]`, distinct items; −1 is padding.
        num_items: int. Items in the catalogue.

    Example:
        >>> item_columns(tf.constant([3, 1]), 5).numpy()
        array([-1,  1, -1,  0, -1], dtype=int32)
    """
    positions = tf.where(items >= 0, tf.range(tf.size(items)), -1)
    return tf.tensor_scatter_nd_max(tf.fill([num_items], -1), tf.maximum(items, 0)[:, None], positions)


def gather_columns(columns: tf.Tensor | None, items: tf.Tensor) -> tf.Tensor:
    """The columns of items, int32 of any shape; −1 for −1.

    Args:
        columns: The result of `item_columns`; None if the column of an item is the item.
        items: int32, any shape.
    """
    return items if columns is None else tf.where(items >= 0, tf.gather(columns, tf.maximum(items, 0)), -1)
