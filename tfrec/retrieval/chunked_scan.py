"""The best of all items in one reading of them, chunk by chunk; how they are scored is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

BLOCK = 64
"""Items that stand for one when the best are looked for."""

SCORES = 2**21
"""Scores held at a time where the caller does not say how many items: 8 MB, which stay in a processor's cache."""

LEAST_CHUNK = 65536


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


def scan_top_k(
    score: Callable[[Any, Any], tf.Tensor],
    batch: Any,
    total: int,
    k: int,
    *,
    chunk_size: int | None = None,
    exclude: Any = None,
    allow: Any = None,
    boost: Any = None,
) -> TopKResult:
    """`TopK` as a function of how items are scored.

    `score(start, stop)` gives float32 `[stop − start, batch]`: a column for each query, as the product of many items
    and a few queries is quicker to get than that of the few and the many, and as one read of a block of items gives the
    maxima of all queries. All else is as in `TopK`.
    """
    if exclude is not None:
        exclude = tf.cast(exclude, tf.int32)
    if allow is not None:
        allow = tf.convert_to_tensor(allow, tf.bool)
    if boost is not None:
        boost = tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32)

    def best_of_chunk(start: Any, stop: Any) -> tuple[tf.Tensor, tf.Tensor]:
        here = score(start, stop)
        if boost is not None:
            here = _add(here, start, *boost)
        if allow is not None:
            part = tf.transpose(allow[:, start:stop]) if allow.shape.rank == 2 else allow[start:stop, None]
            here = tf.where(part, here, -np.inf)
        if exclude is not None:
            here = _mask(here, start, exclude)
        best, place = (_by_blocks if in_blocks else _directly)(here, k)
        return best, tf.where(best == -np.inf, -1, place + start)

    least = max(min(chunk_size or LEAST_CHUNK, total), 1)
    most_chunks = max(-(-total // least), 1)
    in_blocks = total // most_chunks - most_chunks >= 4 * k * BLOCK
    if k <= total <= least:
        return found(*best_of_chunk(0, total), k)

    def scan(start: Any, scores: tf.Tensor, indices: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + chunk, total)
        return stop, *_merge(scores, indices, *best_of_chunk(start, stop))

    chunk = tf.constant(least) if chunk_size else tf.maximum(SCORES // tf.maximum(batch, 1), least)
    # Chunks of nearly one size, so that the last is about as large as the others.
    chunks = tf.maximum((total + chunk - 1) // chunk, 1)
    chunk = (total + chunks - 1) // chunks
    state = (tf.constant(0), tf.fill([batch, k], -np.inf), tf.fill([batch, k], -1))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, k]), tf.TensorShape([None, k]))
    _, scores, indices = tf.while_loop(
        lambda start, *_: start < total, scan, state, shape_invariants=shapes, parallel_iterations=1
    )
    return found(scores, indices, k)


def found(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    """A `TopKResult` of scores and indices `[batch, k]`; −inf and −1 where there is no item."""
    scores, indices = tf.ensure_shape(scores, [None, k]), tf.ensure_shape(indices, [None, k])
    return TopKResult(scores, indices, tf.reduce_sum(tf.cast(indices >= 0, tf.int32), axis=1))


def best_columns(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of float32 `[batch, n]`, n at least k; faster where n is static and many times k.

    Exact, and with the same ties: `top_k` looks at a row with one thread, so first the best `k` blocks by their maxima
    are found, then the best inside them. An item in a block that was not chosen has `k` items before it, one in each of
    the chosen. Blocks are kept in order, so that equal scores are found in it.
    """
    width = scores.shape[1] or 0
    if width < 4 * k * BLOCK:
        best, place = tf.math.top_k(scores, k)
        return best, place
    rows, count = tf.shape(scores)[0], -(-width // BLOCK)
    padded = tf.pad(scores, [[0, 0], [0, count * BLOCK - width]], constant_values=-np.inf)
    blocks = tf.reshape(padded, [rows, count, BLOCK])
    chosen = _first_k(tf.reduce_max(blocks, axis=2), k)
    inside = tf.reshape(tf.gather(blocks, chosen, batch_dims=1), [rows, k * BLOCK])
    best, place = tf.math.top_k(inside, k)
    return best, tf.gather(chosen, place // BLOCK, batch_dims=1) * BLOCK + place % BLOCK


def _first_k(maxima: tf.Tensor, k: int) -> tf.Tensor:
    """int32 `[batch, k]`, rising: where the best `k` of `[batch, blocks]` stand."""
    return tf.sort(tf.math.top_k(maxima, k, sorted=False)[1], axis=1)


def _directly(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    best, place = tf.math.top_k(tf.transpose(scores), tf.minimum(k, tf.shape(scores)[0]))
    return best, place


def _by_blocks(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """As `best_columns`, of `[n, batch]`, n any number that has `k` blocks."""
    count, batch = tf.unstack(tf.shape(scores))
    whole = count // BLOCK * BLOCK
    flat = tf.reshape(scores, [-1])  # of which a part is no copy, whatever the batch
    maxima = tf.reduce_max(tf.reshape(flat[: whole * batch], [count // BLOCK, BLOCK, batch]), axis=1)
    rest = tf.reduce_max(scores[whole:], axis=0, keepdims=True)
    chosen = _first_k(tf.transpose(tf.concat([maxima, rest], axis=0)), k)
    items = tf.reshape(chosen[:, :, None] * BLOCK + tf.range(BLOCK), [batch, k * BLOCK])
    # Read one by one where they stand: to turn all scores into rows would read and write them once more.
    cells = tf.minimum(items, count - 1) * batch + tf.range(batch)[:, None]
    inside = tf.where(items < count, tf.gather(flat, cells), -np.inf)
    best, place = tf.math.top_k(inside, k)
    return best, tf.gather(items, place, batch_dims=1)


def _merge(
    scores: tf.Tensor, indices: tf.Tensor, new_scores: tf.Tensor, new_indices: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best of two lists. `top_k` prefers what stands first: earlier items."""
    best, place = tf.math.top_k(tf.concat([scores, new_scores], axis=1), scores.shape[1])
    return best, tf.gather(tf.concat([indices, new_indices], axis=1), place, batch_dims=1)


def _add(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_add(scores, cells, tf.where(inside, values, 0.0))


def _mask(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_min(scores, cells, tf.where(inside, -np.inf, np.inf))


def _cells(scores: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cells for a scatter, those outside moved to item 0, and which are inside."""
    inside = (items >= 0) & (items < tf.shape(scores)[0])
    columns = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
    return tf.stack([tf.where(inside, items, 0), columns], axis=-1), inside
