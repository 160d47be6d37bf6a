"""Layers that keep their weights as int8 or bfloat16, and turn them into float32 when they are used.

They make encoders small on disk and in memory, not fast: products are float32. Their weights cannot be trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras

KINDS = ("bfloat16", "int8")


def quantise(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Rounds a matrix to int8, with a scale for each row or column.

    Args:
        values: float `[rows, columns]`.
        axis: 1 for a scale for each row, 0 for one for each column.

    Returns:
        int8 `[rows, columns]` and float32 scales, `[rows, 1]` or `[1, columns]`; their product is close to `values`.

    Example:
        >>> numbers, scale = quantise(np.array([[1.0, -0.5], [0.0, 0.0]]), axis=1)
        >>> numbers.tolist(), (numbers * scale).round(2).tolist()
        ([[127, -64], [0, 0]], [[1.0, -0.5], [0.0, 0.0]])
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


class _SmallMatrix(keras.layers.Layer):
    """Base class: a matrix stored as int8 with scales, or as bfloat16."""

    axis = 0

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind, self.scale = kind, None

    def _add_matrix(self, rows: int, columns: int) -> None:
        options: dict[str, Any] = {"trainable": False, "experimental_autocast": False}
        self.stored = self.add_weight("stored", [rows, columns], tf.as_dtype(self.kind), "zeros", **options)
        if self.kind == "int8":
            shape = [rows, 1] if self.axis else [1, columns]
            self.scale = self.add_weight("scale", shape, tf.float32, "ones", **options)

    def _widened(self) -> tf.Tensor:
        wide = tf.cast(self.stored, tf.float32)
        return wide if self.scale is None else wide * self.scale

    def store(self, matrix: np.ndarray) -> None:
        """Rounds a float matrix and keeps it."""
        if self.scale is None:
            self.stored.assign(tf.cast(matrix, tf.bfloat16))
            return
        numbers, scale = quantise(matrix, self.axis)
        self.stored.assign(numbers)
        self.scale.assign(scale)


class SmallDense(_SmallMatrix):
    """A dense layer with a small kernel, in the place of `keras.layers.Dense`.

    Args:
        units: int. Width of the output.
        kind: One of `KINDS`.

    Call arguments:
        inputs: float `[..., width]`.

    Returns:
        float `[..., units]`.

    Example:
        >>> layer = SmallDense(2, "int8")
        >>> layer.build([None, 2])
        >>> layer.store(np.eye(2))
        >>> layer(tf.constant([[3.0, 5.0]])).numpy().round(3)
        array([[3., 5.]], dtype=float32)
    """

    def __init__(self, units: int, kind: str, **kwargs: Any) -> None:
        super().__init__(kind, **kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        self._add_matrix(int(input_shape[-1]), self.units)
        self.bias = self.add_weight("bias", [self.units], initializer="zeros", trainable=False)
        super().build(input_shape)

    @property
    def kernel(self) -> tf.Tensor:
        """The kernel as float32."""
        return self._widened()

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See the class."""
        return tf.tensordot(inputs, self.kernel, 1) + self.bias


class SmallEmbedding(_SmallMatrix):
    """A table of small vectors, in the place of `keras.layers.Embedding`.

    Args:
        rows: int. Number of vectors.
        width: int. Their width.
        kind: One of `KINDS`.

    Call arguments:
        ids: int `[...]`.

    Returns:
        float32 `[..., width]`.

    Example:
        >>> table = SmallEmbedding(2, 2, "bfloat16")
        >>> table.build(None)
        >>> table.store(np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> table(tf.constant([1])).numpy()
        array([[3., 4.]], dtype=float32)
    """

    axis = 1

    def __init__(self, rows: int, width: int, kind: str, **kwargs: Any) -> None:
        super().__init__(kind, **kwargs)
        self.rows, self.width = rows, width

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        self._add_matrix(self.rows, self.width)
        super().build(input_shape)

    @property
    def embeddings(self) -> tf.Tensor:
        """The whole table as float32."""
        return self._widened()

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """See the class."""
        found = tf.cast(tf.gather(self.stored, ids), tf.float32)
        return found if self.scale is None else found * tf.gather(self.scale, ids)
