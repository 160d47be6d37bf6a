"""Exact top-k over the catalogue, in plain TensorFlow so that TF Serving can run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.keras import keras

CHUNK_SIZE = 65536
BLOCK = 64


class TopKResult(NamedTuple):
    """What `TopK` finds.

    Attributes:
        scores: float32 `[batch, k]`, descending; −inf where there is no item.
        indices: int32 `[batch, k]`, catalogue indices; −1 where there is no item.
        count: int32 `[batch]`, how many are real.
    """

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

    def __init__(self, k: int, chunk_size: int = CHUNK_SIZE, **kwargs: Any) -> None:
        if k < 1 or chunk_size < 1:
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
    chunk_size: int = CHUNK_SIZE,
    exclude: Any = None,
    allow: Any = None,
    boost: Any = None,
) -> TopKResult:
    """`TopK` as a function of the item vectors, float32 `[items, dim]`, whose number is static."""
    query = tf.cast(query, tf.float32)
    if query.shape.rank != 2 or not query.shape[1:].is_compatible_with(items.shape[1:]):
        raise InvalidInput(f"Expected queries of shape [batch, {items.shape[1]}], received {query.shape}.")

    def score(start: Any, stop: Any) -> tf.Tensor:
        return tf.matmul(query, items[start:stop], transpose_b=True)

    batch, total = tf.shape(query)[0], int(items.shape[0])
    return scan_top_k(score, batch, total, k, chunk_size=chunk_size, exclude=exclude, allow=allow, boost=boost)


def scan_top_k(
    score: Callable[[Any, Any], tf.Tensor],
    batch: Any,
    total: int,
    k: int,
    *,
    chunk_size: int = CHUNK_SIZE,
    exclude: Any = None,
    allow: Any = None,
    boost: Any = None,
) -> TopKResult:
    """`TopK` as a function of how items are scored: `score(start, stop)` gives float32 `[batch, stop − start]`."""
    if exclude is not None:
        exclude = tf.cast(exclude, tf.int32)
    if allow is not None:
        allow = tf.convert_to_tensor(allow, tf.bool)
    if boost is not None:
        boost = tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32)

    def scan(start: Any, scores: tf.Tensor, indices: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + chunk_size, total)
        here = score(start, stop)
        if boost is not None:
            here = _add(here, start, *boost)
        if allow is not None:
            here = tf.where(allow[..., start:stop], here, -np.inf)
        if exclude is not None:
            here = _mask(here, start, exclude)
        best, place = (_by_blocks if in_blocks else _directly)(here, k)
        return stop, *_merge(scores, indices, best, place + start)

    # Chunks of nearly one size, so that the last is about as large as the others.
    chunks = max(-(-total // chunk_size), 1)
    chunk_size = max(-(-total // chunks), 1)
    in_blocks = chunk_size - chunks >= 4 * k * BLOCK
    state = (tf.constant(0), tf.fill([batch, k], -np.inf), tf.fill([batch, k], -1))
    if 0 < total <= chunk_size:
        state = scan(*state)
    elif total:
        shapes = (tf.TensorShape([]), tf.TensorShape([None, k]), tf.TensorShape([None, k]))
        state = tf.while_loop(
            lambda start, *_: start < total, scan, state, shape_invariants=shapes, parallel_iterations=1
        )
    _, scores, indices = state
    return found(scores, indices, k)


def found(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    """A `TopKResult` of scores and indices `[batch, k]`; −inf and −1 where there is no item."""
    scores, indices = tf.ensure_shape(scores, [None, k]), tf.ensure_shape(indices, [None, k])
    return TopKResult(scores, indices, tf.reduce_sum(tf.cast(indices >= 0, tf.int32), axis=1))


def best_columns(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of float32 `[batch, n]`, n at least k; faster where n is static and many times k."""
    return _by_blocks(scores, k) if (scores.shape[1] or 0) >= 4 * k * BLOCK else _directly(scores, k)


def _directly(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    best, place = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
    return best, place


def _by_blocks(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """As `top_k`, which looks at a row with one thread: first the best `k` blocks by their maxima, then inside them.

    Exact, and with the same ties: an item in a block that was not chosen has `k` items before it, one in each of the
    chosen. Blocks are kept in catalogue order, so that equal scores are found in it.
    """
    rows, width = tf.shape(scores)[0], tf.shape(scores)[1]
    count = (width + BLOCK - 1) // BLOCK
    padded = tf.pad(scores, [[0, 0], [0, count * BLOCK - width]], constant_values=-np.inf)
    blocks = tf.reshape(padded, [rows, count, BLOCK])
    _, chosen = tf.math.top_k(tf.reduce_max(blocks, axis=2), k, sorted=False)
    chosen = tf.sort(chosen, axis=1)
    inside = tf.reshape(tf.gather(blocks, chosen, batch_dims=1), [rows, k * BLOCK])
    best, place = tf.math.top_k(inside, k)
    return best, tf.gather(chosen, place // BLOCK, batch_dims=1) * BLOCK + place % BLOCK


def _merge(
    scores: tf.Tensor, indices: tf.Tensor, new_scores: tf.Tensor, new_indices: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best of two lists. `top_k` prefers what stands first: earlier items, and "no item" before a masked one."""
    k = scores.shape[1]
    best, place = tf.math.top_k(tf.concat([scores, new_scores], axis=1), k)
    return best, tf.gather(tf.concat([indices, new_indices], axis=1), place, batch_dims=1)


def _add(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_add(scores, cells, tf.where(inside, values, 0.0))


def _mask(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_min(scores, cells, tf.where(inside, -np.inf, np.inf))


def _cells(scores: tf.Tensor, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cells for a scatter, those outside moved to column 0, and which are inside."""
    inside = (columns >= 0) & (columns < tf.shape(scores)[1])
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    return tf.stack([rows, tf.where(inside, columns, 0)], axis=-1), inside
