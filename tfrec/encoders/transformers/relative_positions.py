"""Relative position buckets, as in T5 and MPNet: a bias of the attention that depends on the distance of two tokens."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

_FARTHEST = 128  # all longer distances share a bucket; the same in T5 and MPNet


def distance_buckets(longest: int, buckets: int) -> np.ndarray:
    """The bucket of each distance from −`longest` to `longest`, int32 `[2 · longest + 1]`.

    Half of the buckets are for each direction. Of these the first half have one distance each, the others are wider and
    wider.

    Example:
        >>> distance_buckets(3, 8)
        array([2, 2, 1, 0, 5, 6, 6], dtype=int32)
    """
    distance = np.arange(-longest, longest + 1)
    half, near = buckets // 2, buckets // 4
    far = np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(near)
    wide = near + (np.log(far) / np.float32(math.log(_FARTHEST / near)) * np.float32(half - near)).astype(np.int32)
    bucket = np.where(np.abs(distance) < near, np.abs(distance), np.minimum(wide, half - 1))
    return (bucket + half * (distance > 0)).astype(np.int32)


def relative_bias(table: tf.Tensor, length: tf.Tensor, longest: int) -> tf.Tensor:
    """The bias of the attention scores.

    Args:
        table: float `[buckets, heads]`.
        length: int32 scalar, number of tokens.
        longest: int. Largest number of tokens.

    Returns:
        float `[1, heads, length, length]`; the second axis from the right is the token that attends.
    """
    places = tf.range(length)
    distance = places[None, :] - places[:, None] + longest
    buckets = tf.gather(distance_buckets(longest, int(table.shape[0])), distance)
    return tf.transpose(tf.gather(table, buckets), [2, 0, 1])[None]
