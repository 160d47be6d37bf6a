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
        k: int. Number of items to return.
        chunk_size: int. Number of items scored at a time. None chooses it so that a chunk has about two million scores,
            but at least 65536 items.
        **kwargs: Arguments of any Keras layer, such as name. Scores are float32 under any dtype policy.

    Call arguments:
        query: float32 `[batch, dim]`.
        exclude: int32 `[batch, n]`. Item indices to exclude; −1 is padding, and other indices outside the catalogue are
            ignored. None excludes nothing.
        allow: bool `[items]` or `[batch, items]`. Items that may be returned. None allows all.
        boost: int32 indices `[batch, m]` and float32 values `[batch, m]`. Each value is added to the score of its item;
            values of repeated indices add up, and indices outside the catalogue are ignored.

    Returns:
        A `TopKResult`: scores float32 `[batch, k]`, indices int32 `[batch, k]`, count int32 `[batch]`. A row with fewer
        than `k` items left is padded with index −1 and score −inf; `count` is the number of items.

    Raises:
        InvalidInput: `k` or `chunk_size` is below 1, `index` was not called, or queries and items differ in width.

    Example:
        >>> top = TopK(k=2).index([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> top([[1.0, 0.2]], exclude=[[0]]).indices.numpy()
        array([[2, 1]], dtype=int32)
    """

    def __init__(self, k: int, chunk_size: int | None = None, **kwargs: Any) -> None:
        if k < 1 or (chunk_size is not None and chunk_size < 1):
            raise InvalidInput(f"Expected k and chunk_size of at least 1, received {k} and {chunk_size}.")
        # Scores are float32 under any dtype policy: in bfloat16 thousands of items would tie.
        super().__init__(**{"dtype": tf.float32, "autocast": False, "trainable": False, **kwargs})
        self.k, self.chunk_size = k, chunk_size
        self._items: tf.Variable | None = None

    def index(self, items: Any) -> Self:
        """Sets the item vectors, float `[items, dim]`, replacing any earlier ones."""
        values = np.asarray(items, np.float32)
        if values.ndim != 2:
            raise InvalidInput(f"Expected item vectors of shape [items, dim], received {list(values.shape)}.")
        self._items = tf.Variable(values, trainable=False, name="items")
        return self

    def call(self, query: Any, exclude: Any = None, allow: Any = None, boost: Any = None) -> TopKResult:
        """The best items of each query. The class docstring describes the arguments."""
        if self._items is None:
            raise InvalidInput("The catalogue is not indexed yet. Call index(items) first.")
        return exact_top_k(
            self._items, query, self.k, chunk_size=self.chunk_size, exclude=exclude, allow=allow, boost=boost
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, without the index."""
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
    """`TopK` as a function.

    Args:
        items: float32 `[items, dim]`, with a static number of items.
        query: As in the call of `TopK`, like all other arguments.
        k: int. Number of items to return.
        chunk_size: As in `TopK`.
        exclude: As in `TopK`.
        allow: As in `TopK`.
        boost: As in `TopK`.
    """
    query = tf.cast(query, tf.float32)
    if query.shape.rank != 2 or not query.shape[1:].is_compatible_with(items.shape[1:]):
        raise InvalidInput(f"Expected queries of shape [batch, {items.shape[1]}], received {query.shape}.")
    rows = tf.convert_to_tensor(items, tf.float32)  # reads a variable once rather than once per chunk

    def score(start: Any, stop: Any) -> tf.Tensor:
        return tf.matmul(rows[start:stop], query, transpose_b=True)

    batch, total = tf.shape(query)[0], int(items.shape[0])
    return scan_top_k(score, batch, total, k, chunk_size=chunk_size, exclude=exclude, allow=allow, boost=boost)
