"""Exact top-k over the catalogue, in plain TensorFlow so that TF Serving can run it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.retrieval.chunked_scan import TopKResult, scan_top_k


class TopK(keras.layers.Layer):
    """Finds the `k` items with the highest dot product for each query.

    The catalogue is scanned in chunks, so memory is `batch * (chunk + k)` scores instead of `batch * items`.
    Ties go to the item that comes first in the catalogue. Excluded items get a score of −inf and are never returned.

    Args:
        k: int. How many items to return.
        chunk_size: int. Items scored at a time. None for as many as make two million scores with the batch, at least
            65536.

    Call arguments:
        query: float32 `[batch, dim]`.
        exclude: int32 `[batch, n]`. Item indices to leave out; −1 is padding, other indices outside the catalogue are
            ignored. None for none.
        allow: bool `[items]` or `[batch, items]`. Items that may be returned. None for all.
        boost: int32 indices `[batch, m]` and float32 values `[batch, m]`, added to the scores of these items; values of
            an item that occurs repeatedly add up, indices outside the catalogue are ignored. None for none.

    Returns:
        A `TopKResult`: scores float32 `[batch, k]`, indices int32 `[batch, k]`, count int32 `[batch]`. Where fewer than
        `k` items are left, the rest of the row is index −1 and score −inf, and `count` says so.

    Raises:
        InvalidInput: `k` or `chunk_size` below 1, no index yet, or a query of another width than the items.

    Example:
        >>> top = TopK(k=2).index([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> top([[1.0, 0.2]], exclude=[[0]]).indices.numpy()
        array([[2, 1]], dtype=int32)
    """

    def __init__(self, k: int, chunk_size: int | None = None, **kwargs: Any) -> None:
        if k < 1 or (chunk_size is not None and chunk_size < 1):
            raise InvalidInput(f"Expected k and chunk_size of at least 1, received {k} and {chunk_size}.")
        # Scores stay float32 whatever the global policy: bfloat16 would tie thousands of items.
        super().__init__(**{"dtype": tf.float32, "autocast": False, "trainable": False, **kwargs})
        self.k, self.chunk_size = k, chunk_size
        self._items: tf.Variable | None = None

    def index(self, items: Any) -> Self:
        """Takes the item vectors, float `[items, dim]`; replaces those of an earlier call."""
        values = np.asarray(items, np.float32)
        if values.ndim != 2:
            raise InvalidInput(f"Expected item vectors of shape [items, dim], received {list(values.shape)}.")
        self._items = tf.Variable(values, trainable=False, name="items")
        return self

    def call(self, query: Any, exclude: Any = None, allow: Any = None, boost: Any = None) -> TopKResult:
        """The best items of each query; the arguments are described at the class."""
        if self._items is None:
            raise InvalidInput("The catalogue is not indexed yet. Call index(items) first.")
        return exact_top_k(
            self._items, query, self.k, chunk_size=self.chunk_size, exclude=exclude, allow=allow, boost=boost
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the index is not part of it."""
        return {**super().get_config(), "k": self.k, "chunk_size": self.chunk_size}


def exact_top_k(
    items: Any,
    query: Any,
    k: int,
    *,
    chunk_size: int | None = None,
    exclude: Any = None,
    allow: Any = None,
    boost: Any = None,
) -> TopKResult:
    """`TopK` as a function of the item vectors, float32 `[items, dim]`, whose number is static."""
    query = tf.cast(query, tf.float32)
    if query.shape.rank != 2 or not query.shape[1:].is_compatible_with(items.shape[1:]):
        raise InvalidInput(f"Expected queries of shape [batch, {items.shape[1]}], received {query.shape}.")
    rows = tf.convert_to_tensor(items, tf.float32)  # a variable is read once, not once a chunk

    def score(start: Any, stop: Any) -> tf.Tensor:
        return tf.matmul(rows[start:stop], query, transpose_b=True)

    batch, total = tf.shape(query)[0], int(items.shape[0])
    return scan_top_k(score, batch, total, k, chunk_size=chunk_size, exclude=exclude, allow=allow, boost=boost)
