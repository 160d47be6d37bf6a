"""A coarse scan of the catalogue in int8, and the best of it scored again in float32; plain TensorFlow ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.retrieval.chunked_scan import TopKResult, found, scan_top_k
from tfrec.retrieval.top_k import exact_top_k

CHUNK_SIZE = 32768
"""Items turned back into float32 at a time: few enough to stay in the processor's cache."""

MOST_QUERIES = 1
"""Queries at a time; with more it is the products that take the time, and the exact scan has no int8 to turn back."""


class Int8Index(tf.Module):
    """The items as int8, beside the float32 vectors: a quarter of them more memory, and a quarter of them to read.

    For machines whose cores wait for memory. Plain TensorFlow has no quick product of int8, so every item is turned
    back into float32 first: on two cores that takes about as long as the reading that it saves, and one query is
    answered in about the time of the exact scan. With more than `MOST_QUERIES` at a time the exact scan is quicker and
    is what runs, so a query may find more among others than alone. To be several times as fast as the exact scan, take
    `IvfIndex`.

    Each item is a row of whole numbers in −127…127 and one scale. A search scores every item by these, keeps `pool`
    times `k`, and scores those by the float32 vectors, so returned scores are exact; what can be wrong is which items
    reach the pool. Exclusions, allow-lists and boosts count in the coarse scan already: an excluded item never comes
    back, and an item that only its boost brings to the top is found. Ties go to the item first in the catalogue, among
    those in the pool.

    Args:
        items: float32 `[items, dim]`.
        pool: int. How many times `k` items are scored again.

    Example:
        >>> items = np.eye(3, dtype=np.float32)
        >>> Int8Index(items).search(items, [[0.1, 0.3, 0.2]], k=2).indices.numpy()
        array([[1, 2]], dtype=int32)
    """

    def __init__(self, items: Any, pool: int = 4) -> None:
        super().__init__(name="int8_index")
        if pool < 1:
            raise InvalidInput(f"Expected a pool of at least 1, received {pool}.")
        items = np.asarray(items, np.float32)
        scale = np.maximum(np.abs(items).max(axis=1, initial=0.0), 1e-30) / 127
        self.codes = tf.Variable(np.rint(items / scale[:, None]).astype(np.int8), trainable=False, name="codes")
        self.scale = tf.Variable(scale.astype(np.float32), trainable=False, name="scale")
        self.pool = pool

    @property
    def nbytes(self) -> int:
        """Bytes of what it holds; the float32 vectors are not its own."""
        return sum(int(np.prod(variable.shape)) * variable.dtype.size for variable in self.variables)

    def search(
        self,
        items: Any,
        query: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        boost: Any = None,
        exact_if_quicker: bool = True,
    ) -> TopKResult:
        """The best of `items`, float32 `[items, dim]`, that it was made of; all else as in `TopK`.

        `exact_if_quicker=False` scans in int8 whatever the batch: to measure what reaches the pool.
        """
        query = tf.cast(query, tf.float32)
        options = {"exclude": exclude, "allow": allow, "boost": boost}
        if not exact_if_quicker:
            return self._coarse(items, query, k, **options)
        return TopKResult(
            *tf.cond(
                tf.shape(query)[0] > MOST_QUERIES,
                lambda: exact_top_k(items, query, k, **options),
                lambda: self._coarse(items, query, k, **options),
            )
        )

    def _coarse(self, items: Any, query: tf.Tensor, k: int, **options: Any) -> TopKResult:
        """The best of those that the scan in int8 finds."""
        boost = options["boost"]
        total = int(self.codes.shape[0])
        codes, scale = self.codes.read_value(), self.scale.read_value()  # read once, not once a chunk

        def score(start: Any, stop: Any) -> tf.Tensor:
            rows = tf.cast(codes[start:stop], tf.float32)
            return tf.matmul(rows, query, transpose_b=True) * scale[start:stop, None]

        width = max(min(self.pool * k, total), k)
        coarse = scan_top_k(score, tf.shape(query)[0], total, width, chunk_size=CHUNK_SIZE, **options)
        indices = coarse.indices
        scores = tf.linalg.matvec(tf.gather(items, tf.maximum(indices, 0)), query)
        if boost is not None:
            scores += _boosts_at(indices, tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32))
        return best_of(scores, indices, k)


def best_of(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    """The best `k` of `[batch, n]` items, n at least k, index −1 for none; ties to the lowest index."""
    order = tf.argsort(tf.where(indices >= 0, indices, tf.int32.max), axis=1)
    indices, scores = tf.gather(indices, order, batch_dims=1), tf.gather(scores, order, batch_dims=1)
    best, place = tf.math.top_k(tf.where(indices >= 0, scores, -np.inf), k)
    return found(best, tf.gather(indices, place, batch_dims=1), k)


def _boosts_at(wanted: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """float32 `[batch, n]`: the sum of the values `[batch, m]` whose index is the wanted one; all int32."""
    order = tf.argsort(wanted, axis=1)
    known = tf.gather(wanted, order, batch_dims=1)
    width = known.shape[1]
    at = tf.minimum(tf.searchsorted(known, indices), width - 1)
    hit = (tf.gather(known, at, batch_dims=1) == indices) & (indices >= 0)
    rows = tf.broadcast_to(tf.range(tf.shape(indices)[0])[:, None], tf.shape(indices))
    cells = tf.stack([rows, tf.gather(order, at, batch_dims=1)], axis=-1)
    return tf.scatter_nd(cells, tf.where(hit, values, 0.0), tf.shape(wanted))
