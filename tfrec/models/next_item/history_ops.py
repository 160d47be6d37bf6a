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


PREFIX_BLOCK = 64
"""Positions whose decayed sums are one matrix product; longer histories are summed block by block."""


def decayed_prefix_sums(values: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    """The sum over each prefix, in which every position counts `decay` times as much as the next one.

    One product with a triangular matrix would take length² steps a column. Within blocks of `PREFIX_BLOCK` positions it
    takes that, and from block to block only the last sums are carried on.

    Args:
        values: float32 `[batch, length, width]`.
        decay: float32 scalar in (0, 1].

    Returns:
        float32 `[batch, length, width]`.

    Example:
        >>> decayed_prefix_sums(tf.constant([[[4.0], [1.0], [0.0]]]), tf.constant(0.5)).numpy().ravel()
        array([4. , 3. , 1.5], dtype=float32)
    """
    length = tf.shape(values)[1]
    return tf.cond(
        length <= PREFIX_BLOCK,
        lambda: tf.linalg.matmul(_decays(length, decay), values),
        lambda: _prefix_sums_by_blocks(values, decay)[:, :length],
    )


def _prefix_sums_by_blocks(values: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    """As `decayed_prefix_sums`, with positions up to the end of the last block."""
    batch, length, width = tf.unstack(tf.shape(values))
    values = tf.pad(values, [[0, 0], [0, -length % PREFIX_BLOCK], [0, 0]])
    sums = tf.linalg.matmul(_decays(PREFIX_BLOCK, decay), tf.reshape(values, [batch, -1, PREFIX_BLOCK, width]))
    blocks = tf.shape(sums)[1]
    whole = tf.linalg.matmul(_decays(blocks, tf.pow(decay, float(PREFIX_BLOCK))), sums[:, :, -1])
    earlier = tf.pad(whole[:, :-1], [[0, 0], [1, 0], [0, 0]])  # up to the last position before each block
    fading = tf.pow(decay, tf.range(1.0, PREFIX_BLOCK + 1.0))
    return tf.reshape(sums + fading[:, None] * earlier[:, :, None], [batch, blocks * PREFIX_BLOCK, width])


def _decays(length: tf.Tensor | int, decay: tf.Tensor) -> tf.Tensor:
    """float32 `[length, length]`: how much each column's position counts in the sum of the row's; 0 if it is later."""
    age = tf.cast(tf.range(length)[:, None] - tf.range(length)[None, :], tf.float32)
    return tf.where(age >= 0, tf.pow(decay, tf.abs(age)), 0.0)


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
