"""Diverse lists by maximal marginal relevance, in plain TensorFlow so that TF Serving can run it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.retrieval.chunked_scan import TopKResult


def diversify(result: TopKResult, vectors: Any, k: int, strength: float) -> TopKResult:
    """Re-ranks search results so that each item is relevant and differs from the items before it.

    Maximal marginal relevance (Carbonell & Goldstein 1998, https://doi.org/10.1145/290941.291025): the next item is the
    one with the highest (1 − strength) · relevance − strength · (highest cosine to an item already picked), where
    relevance is the score scaled linearly to 0…1 within the row. Ties go to the item that comes first in the result, so
    the best item stays first, and strength 0 keeps the order.

    Args:
        result: Of `TopK`, `[batch, pool]`: the items to pick from.
        vectors: float32 `[batch, pool, dim]`, unit vectors of these items; those at padding are ignored.
        k: int. Number of items to pick, at most the pool.
        strength: float in 0…1. Weight of diversity against relevance.

    Returns:
        A `TopKResult` of `[batch, k]` in the order of picking. The scores are unchanged, so they are no longer
        descending.

    Raises:
        InvalidInput: `k` is not in 1…pool, or strength is not in 0…1.

    Example:
        >>> result = TopKResult(tf.constant([[3.0, 2.9, 1.0]]), tf.constant([[7, 8, 9]]), tf.constant([3]))
        >>> twins = tf.constant([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
        >>> diversify(result, twins, k=2, strength=0.5).indices.numpy()
        array([[7, 9]], dtype=int32)
    """
    pool = result.scores.shape[1]
    if not 1 <= k <= pool or not 0 <= strength <= 1:
        raise InvalidInput(f"Expected k in 1…{pool} and a strength in 0…1, received {k} and {strength}.")
    real = result.indices >= 0
    relevance = _unit_range(result.scores, real)
    cosines = tf.matmul(vectors, vectors, transpose_b=True)
    rows = tf.shape(result.scores)[0]

    def pick(step: Any, open_: Any, closest: Any, picked: Any) -> tuple[Any, Any, Any, Any]:
        value = (1 - strength) * relevance - strength * closest
        best = tf.argmax(tf.where(open_, value, -np.inf), axis=1, output_type=tf.int32)
        open_ &= tf.one_hot(best, pool, on_value=False, off_value=True)
        closest = tf.maximum(closest, tf.gather(cosines, best, axis=1, batch_dims=1))
        return step + 1, open_, closest, picked.write(step, best)

    # All start with the lowest cosine, −1, so the first pick is the most relevant item.
    state = (tf.constant(0), real, tf.fill([rows, pool], -1.0), tf.TensorArray(tf.int32, k, element_shape=[None]))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, pool]), tf.TensorShape([None, pool]), tf.TensorShape(None))
    *_, picked = tf.while_loop(lambda step, *_: step < k, pick, state, shape_invariants=shapes, maximum_iterations=k)
    order = tf.ensure_shape(tf.transpose(picked.stack()), [None, k])
    count = tf.minimum(result.count, k)
    kept = tf.range(k)[None, :] < count[:, None]
    scores = tf.where(kept, tf.gather(result.scores, order, batch_dims=1), -np.inf)
    indices = tf.where(kept, tf.gather(result.indices, order, batch_dims=1), -1)
    return TopKResult(scores, indices, count)


def _unit_range(scores: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
    lowest = tf.reduce_min(tf.where(real, scores, np.inf), axis=1, keepdims=True)
    highest = tf.reduce_max(tf.where(real, scores, -np.inf), axis=1, keepdims=True)
    return tf.where(real, tf.math.divide_no_nan(scores - lowest, highest - lowest), 0.0)
