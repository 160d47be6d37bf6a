"""An index that scans the catalogue in int8 and rescores the best items in float32, in plain TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.retrieval.approximate.variable_bytes import variable_bytes
from tfrec.retrieval.chunked_scan import TopKResult, scan_top_k, top_k_result
from tfrec.retrieval.top_k import exact_top_k

CHUNK_SIZE = 32768
"""Items converted back to float32 at a time: few enough to stay in the processor's cache."""

MOST_QUERIES = 1
"""Largest batch that is scanned in int8. In larger batches the products dominate, and the exact scan, which needs no
conversion, is faster (benchmarks/serve.py)."""


class Int8Index(tf.Module):
    """An index of int8 copies of the item vectors: 25% more memory, and a quarter of the bytes to read per search.

    It is meant for machines limited by memory bandwidth. Plain TensorFlow has no fast int8 product, so every item is
    converted to float32 first. On two cores the conversion takes about as long as the saved reads, so that one query
    takes about as long as an exact scan. For batches of more than `MOST_QUERIES` the exact scan is faster and is used
    instead, so a query may get better results in a larger batch. `IvfIndex` is several times faster than the exact
    scan.

    Each item is stored as integers in −127…127 and one scale. A search scores every item with these, keeps the best
    `pool` times `k`, and rescores them with the float32 vectors. So the returned scores are exact, but an item may be
    missing from the pool. Exclusions, allow-lists and boosts already apply in the int8 scan: an excluded item is never
    returned, and an item that only its boost lifts to the top is found. Among the items of the pool, ties go to the
    item first in the catalogue.

    Args:
        items: float32 `[items, dim]`.
        pool: int. Rescores `pool` times `k` items.

    Raises:
        InvalidInput: `pool` is below 1.

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
        """Size of the index in bytes, without the float32 vectors."""
        return variable_bytes(self.variables)

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
        """Searches the index.

        Args:
            items: float32 `[items, dim]`, the vectors that the index was made of.
            query: As in `TopK`, like exclude, allow and boost.
            k: int. Number of items to return.
            exclude: As in `TopK`.
            allow: As in `TopK`.
            boost: As in `TopK`.
            exact_if_quicker: Whether to use the exact scan for large batches. False measures the index itself.
        """
        query = tf.cast(query, tf.float32)
        options = {"exclude": exclude, "allow": allow, "boost": boost}
        if not exact_if_quicker:
            return self._scan_and_rescore(items, query, k, **options)
        return TopKResult(
            *tf.cond(
                tf.shape(query)[0] > MOST_QUERIES,
                lambda: exact_top_k(items, query, k, **options),
                lambda: self._scan_and_rescore(items, query, k, **options),
            )
        )

    def _scan_and_rescore(self, items: Any, query: tf.Tensor, k: int, **options: Any) -> TopKResult:
        """The best items by exact score among the pool of the int8 scan."""
        boost = options["boost"]
        total = int(self.codes.shape[0])
        codes, scale = self.codes.read_value(), self.scale.read_value()  # read once rather than once per chunk

        def score(start: Any, stop: Any) -> tf.Tensor:
            rows = tf.cast(codes[start:stop], tf.float32)
            return tf.matmul(rows, query, transpose_b=True) * scale[start:stop, None]

        width = max(min(self.pool * k, total), k)
        coarse = scan_top_k(score, tf.shape(query)[0], total, width, chunk_size=CHUNK_SIZE, **options)
        indices = coarse.indices
        scores = tf.linalg.matvec(tf.gather(items, tf.maximum(indices, 0)), query)
        if boost is not None:
            scores += _boosts_at(indices, tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32))
        return select_top_k(scores, indices, k)


def select_top_k(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    """The best `k` of the given items; ties go to the lowest index.

    Args:
        scores: float32 `[batch, n]`, n at least k.
        indices: int32 `[batch, n]`, item indices; −1 is padding.
        k: int.
    """
    order = tf.argsort(tf.where(indices >= 0, indices, tf.int32.max), axis=1)
    indices, scores = tf.gather(indices, order, batch_dims=1), tf.gather(scores, order, batch_dims=1)
    best, place = tf.math.top_k(tf.where(indices >= 0, scores, -np.inf), k)
    return top_k_result(best, tf.gather(indices, place, batch_dims=1), k)


def _boosts_at(items: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """The sum of the boosts of each item, float32 `[batch, n]`.

    Args:
        items: int32 `[batch, n]`.
        indices: int32 `[batch, m]`, the boosted items.
        values: float32 `[batch, m]`, their boosts.
    """
    order = tf.argsort(items, axis=1)
    known = tf.gather(items, order, batch_dims=1)
    width = known.shape[1]
    at = tf.minimum(tf.searchsorted(known, indices), width - 1)
    hit = (tf.gather(known, at, batch_dims=1) == indices) & (indices >= 0)
    rows = tf.broadcast_to(tf.range(tf.shape(indices)[0])[:, None], tf.shape(indices))
    cells = tf.stack([rows, tf.gather(order, at, batch_dims=1)], axis=-1)
    return tf.scatter_nd(cells, tf.where(hit, values, 0.0), tf.shape(items))
