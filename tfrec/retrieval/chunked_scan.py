"""Top-k over the catalogue in one pass, chunk by chunk, for any scoring function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

BLOCK = 64
"""Items per block when the search first looks at block maxima. A speed choice; the result does not depend on it."""

SCORES = 2**21
"""Scores computed at a time by default: 8 MB of float32, to stay in the processor's cache."""

LEAST_CHUNK = 65536
"""Minimum number of items scored at a time by default."""


class TopKResult(NamedTuple):
    """The result of a top-k search.

    Attributes:
        scores: float32 `[batch, k]`, descending; −inf at padding.
        indices: int32 `[batch, k]`, item indices; −1 at padding.
        count: int32 `[batch]`, number of items in each row.
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
    """`TopK` for any scoring function.

    Args:
        score: Maps (start, stop) to the scores of these items, float32 `[stop − start, batch]`. Items come first
            because the product of many items with a few queries is faster in this order, and because one pass over a
            block of items then gives the block maxima of all queries.
        batch: int or int32 scalar. Number of queries.
        total: int. Number of items.
        k: int. Number of items to return.
        chunk_size: As in `TopK`.
        exclude: As in `TopK`.
        allow: As in `TopK`.
        boost: As in `TopK`.
    """
    if exclude is not None:
        exclude = tf.cast(exclude, tf.int32)
    if allow is not None:
        allow = tf.convert_to_tensor(allow, tf.bool)
    if boost is not None:
        boost = tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32)

    def best_of_chunk(start: Any, stop: Any) -> tuple[tf.Tensor, tf.Tensor]:
        scores = score(start, stop)
        if boost is not None:
            scores = _add_boosts(scores, start, *boost)
        if allow is not None:
            allowed = tf.transpose(allow[:, start:stop]) if allow.shape.rank == 2 else allow[start:stop, None]
            scores = tf.where(allowed, scores, -np.inf)
        if exclude is not None:
            scores = _mask_excluded(scores, start, exclude)
        best, place = (_blockwise_top_k if in_blocks else _plain_top_k)(scores, k)
        return best, tf.where(best == -np.inf, -1, place + start)

    least = max(min(chunk_size or LEAST_CHUNK, total), 1)
    most_chunks = max(-(-total // least), 1)
    in_blocks = total // most_chunks - most_chunks >= 4 * k * BLOCK
    if k <= total <= least:
        return top_k_result(*best_of_chunk(0, total), k)

    def scan(start: Any, scores: tf.Tensor, indices: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + chunk, total)
        return stop, *_merge(scores, indices, *best_of_chunk(start, stop))

    chunk = tf.constant(least) if chunk_size else tf.maximum(SCORES // tf.maximum(batch, 1), least)
    # Chunks of nearly equal size, so that the last is about as large as the others.
    chunks = tf.maximum((total + chunk - 1) // chunk, 1)
    chunk = (total + chunks - 1) // chunks
    state = (tf.constant(0), tf.fill([batch, k], -np.inf), tf.fill([batch, k], -1))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, k]), tf.TensorShape([None, k]))
    _, scores, indices = tf.while_loop(
        lambda start, *_: start < total, scan, state, shape_invariants=shapes, parallel_iterations=1
    )
    return top_k_result(scores, indices, k)


def top_k_result(scores: tf.Tensor, indices: tf.Tensor, k: int) -> TopKResult:
    """A `TopKResult` from scores and indices `[batch, k]`, which are −inf and −1 at padding."""
    scores, indices = tf.ensure_shape(scores, [None, k]), tf.ensure_shape(indices, [None, k])
    return TopKResult(scores, indices, tf.reduce_sum(tf.cast(indices >= 0, tf.int32), axis=1))


def best_columns(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k`, but faster where n is static and many times k.

    The result is exact, with the same ties. `top_k` processes a row in one thread, so this function first finds the `k`
    blocks with the highest maxima, then the best items inside them. An item in any other block ranks behind at least
    `k` items, one in each chosen block. Blocks keep their order, so that ties go to the first column.

    Args:
        scores: float32 `[batch, n]`, n at least k.
        k: int.

    Returns:
        values: float32 `[batch, k]`, descending. columns: int32 `[batch, k]`.
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
    """Indices of the `k` highest of `[batch, blocks]`, int32 `[batch, k]`, ascending."""
    return tf.sort(tf.math.top_k(maxima, k, sorted=False)[1], axis=1)


def _plain_top_k(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`top_k` of each column of `[n, batch]`."""
    best, place = tf.math.top_k(tf.transpose(scores), tf.minimum(k, tf.shape(scores)[0]))
    return best, place


def _blockwise_top_k(scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The method of `best_columns` for the columns of `[n, batch]`, where n has at least `k` blocks."""
    count, batch = tf.unstack(tf.shape(scores))
    whole = count // BLOCK * BLOCK
    flat = tf.reshape(scores, [-1])  # a slice of a flat tensor is not copied
    maxima = tf.reduce_max(tf.reshape(flat[: whole * batch], [count // BLOCK, BLOCK, batch]), axis=1)
    rest = tf.reduce_max(scores[whole:], axis=0, keepdims=True)
    chosen = _first_k(tf.transpose(tf.concat([maxima, rest], axis=0)), k)
    items = tf.reshape(chosen[:, :, None] * BLOCK + tf.range(BLOCK), [batch, k * BLOCK])
    # Gather single cells: transposing all scores would read and write them once more.
    cells = tf.minimum(items, count - 1) * batch + tf.range(batch)[:, None]
    inside = tf.where(items < count, tf.gather(flat, cells), -np.inf)
    best, place = tf.math.top_k(inside, k)
    return best, tf.gather(items, place, batch_dims=1)


def _merge(
    scores: tf.Tensor, indices: tf.Tensor, new_scores: tf.Tensor, new_indices: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best of two lists. On ties `top_k` prefers the first column, so the earlier item."""
    best, place = tf.math.top_k(tf.concat([scores, new_scores], axis=1), scores.shape[1])
    return best, tf.gather(tf.concat([indices, new_indices], axis=1), place, batch_dims=1)


def _add_boosts(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_add(scores, cells, tf.where(inside, values, 0.0))


def _mask_excluded(scores: tf.Tensor, start: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    cells, inside = _cells(scores, indices - start)
    return tf.tensor_scatter_nd_min(scores, cells, tf.where(inside, -np.inf, np.inf))


def _cells(scores: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scatter indices of the items `[batch, n]` in `[items, batch]`, and which are inside; others point to item 0."""
    inside = (items >= 0) & (items < tf.shape(scores)[0])
    columns = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
    return tf.stack([tf.where(inside, items, 0), columns], axis=-1), inside
