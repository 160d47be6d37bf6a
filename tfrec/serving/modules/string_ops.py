"""Graph ops that turn the strings of a request into padded histories of indices."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def compact(keep: tf.Tensor, *columns: tf.Tensor, length: int, pads: tuple[Any, ...]) -> list[tf.Tensor]:
    """Moves the kept entries of each row to the front, in order, and drops all but the last `length` of them.

    Args:
        keep: bool `[batch, n]`, which entries to keep.
        *columns: Tensors `[batch, n, ...]` whose entries are moved together.
        length: Width of the results, or `n` if that is smaller.
        pads: A scalar for each column, which fills the row after the kept entries.

    Returns:
        For each column a tensor `[batch, min(n, length), ...]`.

    Example:
        >>> ids = tf.constant([[-1, 7, -1, 8, 9]])
        >>> compact(ids >= 0, ids, length=2, pads=(-1,))[0].numpy()
        array([[8, 9]], dtype=int32)
        >>> compact(ids >= 0, ids, length=4, pads=(-1,))[0].numpy()
        array([[ 7,  8,  9, -1]], dtype=int32)
    """
    n = keep.shape[1]
    width = min(n, length)
    order = tf.argsort(tf.cast(~keep, tf.int32), axis=1, stable=True)
    count = tf.reduce_sum(tf.cast(keep, tf.int32), axis=1)
    positions = tf.maximum(count - width, 0)[:, None] + tf.range(width)[None, :]
    take = tf.gather(order, positions, batch_dims=1)
    real = positions < count[:, None]
    moved = []
    for column, pad in zip(columns, pads, strict=True):
        values = tf.gather(column, take, batch_dims=1)
        mask = tf.reshape(real, tf.concat([tf.shape(real), [1] * (len(column.shape) - 2)], 0))
        moved.append(tf.where(mask, values, tf.cast(pad, column.dtype)))
    return moved


def index_table(keys: list[str]) -> tf.lookup.StaticHashTable:
    """A table from each string to its first position in `keys`; −1 for other strings and for ""."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    first.pop("", None)
    # A table needs at least one key. No client uses NUL as an id.
    first = first or {"\0": -1}
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(first), tf.string), tf.constant(list(first.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def hash_table(texts: list[str]) -> tf.lookup.StaticHashTable:
    """`index_table` by 62-bit fingerprints of the texts, so that long texts do not make the graph large."""
    first: dict[str, int] = {}
    for position, text in enumerate(texts):
        first.setdefault(text.strip(), position)
    first.pop("", None)
    keys = fingerprint(tf.constant(list(first), tf.string)) if first else tf.constant([-1], tf.int64)
    values = list(first.values()) or [-1]
    # Of a million texts two share a fingerprint with probability 1e-7. The table would refuse them, so drop one.
    unique = dict(zip(keys.numpy().tolist(), values, strict=True))
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(unique), tf.int64), tf.constant(list(unique.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def fingerprint(texts: tf.Tensor) -> tf.Tensor:
    """A 62-bit hash of each string, int64, the same on every machine."""
    return tf.strings.to_hash_bucket_fast(texts, 2**62)
