"""Histories as clients send them (strings, "" and unknown ids anywhere) to histories as models read them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def compact(keep: tf.Tensor, *columns: tf.Tensor, length: int, pads: tuple[Any, ...]) -> list[tf.Tensor]:
    """Moves the kept entries of each row to the front, in order, and keeps the last `length` of them.

    Args:
        keep: bool `[batch, n]`. Which entries are real.
        *columns: `[batch, n, ...]` tensors that are moved alike.
        length: int. Width of the results; fewer when `n` is smaller.
        pads: A scalar for each column: what stands after the real entries.

    Returns:
        For each column a tensor `[batch, min(n, length), ...]`; rows without a kept entry are all padding.

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
    """A table from a string to its first position in `keys`; anything else, and "", gives −1."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    first.pop("", None)
    # A table needs at least one key; NUL cannot be sent in a way that clients would confuse with an id.
    first = first or {"\0": -1}
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(first), tf.string), tf.constant(list(first.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def hash_table(texts: list[str]) -> tf.lookup.StaticHashTable:
    """As `index_table`, by the 62-bit fingerprint of the text, so that long texts do not swell the graph."""
    first: dict[str, int] = {}
    for position, text in enumerate(texts):
        first.setdefault(text.strip(), position)
    first.pop("", None)
    keys = fingerprint(tf.constant(list(first), tf.string)) if first else tf.constant([-1], tf.int64)
    values = list(first.values()) or [-1]
    # Two texts with one fingerprint are one in 10^9 for a million items; the table would refuse them, so drop one.
    unique = dict(zip(keys.numpy().tolist(), values, strict=True))
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(unique), tf.int64), tf.constant(list(unique.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def fingerprint(texts: tf.Tensor) -> tf.Tensor:
    """int64 hash of each string, the same on every machine."""
    return tf.strings.to_hash_bucket_fast(texts, 2**62)
