"""Rotary positions: queries and keys are turned by angles that grow with the position of the token."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def rotate(vectors: tf.Tensor, base: float) -> tf.Tensor:
    """Turns vectors by their positions (RoPE, Su et al., arXiv:2104.09864), so that products depend on distances.

    Values `i` and `i + width / 2` are the two coordinates of a point, as in `transformers`.

    Args:
        vectors: float `[batch, heads, length, width]`; the width is known and even.
        base: float. The slowest angle grows by about 1 / `base` with each position.

    Example:
        >>> rotate(tf.ones([1, 1, 2, 2]), 10000.0).numpy().round(2)
        array([[[[ 1.  ,  1.  ],
                 [-0.3 ,  1.38]]]], dtype=float32)
    """
    width = int(vectors.shape[-1])
    speeds = np.float32(1) / np.float32(base) ** (np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    angles = tf.cast(tf.range(tf.shape(vectors)[-2]), tf.float32)[:, None] * speeds
    cosine, sine = (tf.cast(values, vectors.dtype) for values in (tf.cos(angles), tf.sin(angles)))
    first, second = tf.split(vectors, 2, axis=-1)
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def within_window(length: tf.Tensor, window: int, dtype: tf.DType) -> tf.Tensor:
    """1 where two of `length` tokens are at most `window` apart, 0 elsewhere, `[length, length]`."""
    places = tf.range(length)
    return tf.cast(tf.abs(places[:, None] - places[None, :]) <= window, dtype)
