"""Exact top-k over the catalogue, in plain TensorFlow so that TF Serving can run it."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfrec.keras import keras


class TopKResult(NamedTuple):
    """scores float32 `[batch, k]`, descending; indices int32 `[batch, k]`; count int32 `[batch]`, how many are real."""

    scores: tf.Tensor
    indices: tf.Tensor
    count: tf.Tensor


class TopK(keras.layers.Layer):
    """Finds the `k` items with the highest dot product for each query.

    The catalogue is scanned in chunks, so memory is `batch * (chunk + k)` scores instead of `batch * items`.
    Ties go to the item that comes first in the catalogue. Excluded items get a score of −inf and are never returned.

    Args:
        k: int. How many items to return.
        chunk_size: int. Items scored at a time. Defaults to 65536.

    Call arguments:
        query: float32 `[batch, dim]`.
        exclude: int32 `[batch, n]`. Item indices to leave out; −1 is padding.
        allow: bool `[items]` or `[batch, items]`. Where given, only these items are returned.
        boost: indices int32 `[batch, n]` and values float32 `[batch, n]`, added to the scores of these items.

    Returns:
        TopKResult of scores, indices and count. Where fewer than `k` items are left, the rest of the row is index −1
        and score −inf, and `count` says so.

    Example:
        >>> top = TopK(k=2).index([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> top([[1.0, 0.2]], exclude=[[0]]).indices.numpy()
        array([[2, 1]], dtype=int32)
    """

    def __init__(self, k: int, chunk_size: int = 65536, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k < 1 or chunk_size < 1:
            raise ValueError(f"Expected k and chunk_size of at least 1, received {k} and {chunk_size}.")
        self.k, self.chunk_size = k, chunk_size

    def index(self, items: tf.Tensor) -> TopK:
        """Takes the item vectors, float32 `[items, dim]`; returns self."""
        vectors = tf.convert_to_tensor(items, tf.float32)
        if vectors.shape.rank != 2 or not vectors.shape[0]:
            raise ValueError(f"Expected item vectors of shape [items, dim], at least one; received {vectors.shape}.")
        self.items = tf.Variable(vectors, trainable=False, name="items")
        return self

    def is_exact(self) -> bool:
        """Whether the result is that of a full sort."""
        return True

    def call(
        self,
        query: tf.Tensor,
        exclude: tf.Tensor | None = None,
        allow: tf.Tensor | None = None,
        boost: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> TopKResult:
        query = tf.convert_to_tensor(query, tf.float32)
        size = self.items.shape[0]
        best: tf.Tensor | None = None
        found: tf.Tensor | None = None
        for start in range(0, size, self.chunk_size):
            stop = min(size, start + self.chunk_size)
            scores = tf.matmul(query, self.items[start:stop], transpose_b=True)
            if boost is not None:
                indices, values = (tf.convert_to_tensor(part) for part in boost)
                scores = _scatter(scores, indices - start, values, add=True)
            if exclude is not None:
                hidden = tf.convert_to_tensor(exclude, tf.int32)
                scores = _scatter(scores, hidden - start, tf.fill(tf.shape(hidden), -float("inf")), add=False)
            if allow is not None:
                allowed = tf.convert_to_tensor(allow)[..., start:stop]
                scores = tf.where(allowed, scores, -float("inf"))
            top, where = tf.math.top_k(scores, min(self.k, stop - start))
            where += start
            if best is not None:  # earlier chunks come first, so top_k keeps ties in catalogue order
                top, where = tf.concat([best, top], 1), tf.concat([found, where], 1)
                top, kept = tf.math.top_k(top, min(self.k, top.shape[1]))
                where = tf.gather(where, kept, batch_dims=1)
            best, found = top, where
        return _finish(best, found, self.k)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k, "chunk_size": self.chunk_size}


def _scatter(scores: tf.Tensor, columns: tf.Tensor, values: tf.Tensor, *, add: bool) -> tf.Tensor:
    """Adds or sets `values` at `columns` of each row; columns outside the row are ignored."""
    inside = (columns >= 0) & (columns < tf.shape(scores)[1])
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    where = tf.boolean_mask(tf.stack([rows, columns], axis=-1), inside)
    scatter = tf.tensor_scatter_nd_add if add else tf.tensor_scatter_nd_update
    return scatter(scores, where, tf.boolean_mask(values, inside))


def _finish(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    missing = k - scores.shape[1]
    scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=-float("inf"))
    indices = tf.pad(indices, [[0, 0], [0, missing]], constant_values=-1)
    real = scores > -float("inf")
    return TopKResult(scores, tf.where(real, indices, -1), tf.reduce_sum(tf.cast(real, tf.int32), axis=1))
