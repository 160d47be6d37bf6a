"""Operations on histories that are padded on the right: their newest events, and their positions as rows."""

from __future__ import annotations

import tensorflow as tf


def used_columns(items: tf.Tensor) -> tf.Tensor:
    """Number of positions up to the last item of each row, int32 `[batch]`, with left-out events (−1) before it."""
    columns = tf.where(items >= 0, tf.range(tf.shape(items)[1]) + 1, 0)
    return tf.maximum(tf.reduce_max(columns, axis=1), 0)  # the maximum over no columns is the lowest int


def newest_item(items: tf.Tensor) -> tf.Tensor:
    """The newest item of each history, int32 `[batch]`; −1 for an empty one.

    Args:
        items: int32 `[batch, length]`, oldest first, −1 is padding.
    """
    length = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    return tf.gather(items, tf.maximum(length - 1, 0), axis=1, batch_dims=1)


def newest_positions(items: tf.Tensor, max_events: int) -> tf.Tensor:
    """Positions of the newest `max_events` events of each history, oldest first, followed by positions of padding.

    Args:
        items: int32 `[batch, length]`, −1 is padding.
        max_events: int.

    Returns:
        int32 `[batch, min(length, max_events)]`.

    Example:
        >>> newest_positions(tf.constant([[5, 6, 7], [8, -1, -1]]), max_events=2).numpy()
        array([[1, 2],
               [0, 1]], dtype=int32)
    """
    return tf.maximum(used_columns(items) - max_events, 0)[:, None] + tf.range(
        tf.minimum(tf.shape(items)[1], max_events)
    )


def select_rows(values: tf.Tensor, real: tf.Tensor, every_position: bool = False) -> tf.Tensor:
    """The values of the real positions as rows, `[rows, ...]`.

    XLA cannot compile this, as the number of rows depends on `real`. With `every_position` there is a row for every
    position, and the caller has to ignore the others.

    Args:
        values: `[batch, length, ...]`.
        real: bool `[batch, length]`, the positions to take.
        every_position: bool. Whether to return all `batch * length` rows instead.
    """
    if not every_position:
        return tf.boolean_mask(values, real)
    return tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0))
