"""The parts of the scores of a NextItemModel for many variants of a history at once, in plain TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from tfrec.explanation.variant_queries import Variants, variant_queries
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import MAX_EVENTS
from tfrec.models.next_item.score_weights.catalogue_parts import MEMORY_PARTS, NETWORK, POPULARITY, REPEATS
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum


def memory_weights(model: NextItemModel, variants: Variants) -> tf.Tensor:
    """What each event counts in the neighbour memory of each variant, float32 `[batch, variants, events]`."""
    assert model.memory is not None
    kept = tf.cumsum(tf.cast(variants.keep, tf.int32), axis=2)
    used = variants.keep & (model.remembered(variants.items, variants.kinds) >= 0)[:, None]
    age = tf.reduce_max(tf.where(used, kept, 0), axis=2, keepdims=True) - kept
    weights = tf.pow(model.memory.decay, tf.cast(tf.maximum(age, 0), tf.float32))
    return tf.where(used & (age < MAX_EVENTS), weights, 0.0)


def memory_scores(model: NextItemModel, variants: Variants, items: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """The parts of the neighbour memory, float32 `[batch, variants, m]` each; `items` as for `deletion_parts`."""
    if model.memory is None:
        return {}
    weights, (batch, events) = memory_weights(model, variants), tf.unstack(tf.shape(variants.items))
    parts = {}
    # A history of one event has age 0: these are the neighbours of each event before decay.
    entries = model.memory.neighbour_entries(tf.reshape(variants.items, [-1, 1]))
    for name, (near, values) in entries.items():
        if items is None:
            by_event = bincount_scatter_sum(near, values, model.num_items)
        else:
            asked = tf.repeat(items, events, axis=0)
            same = tf.cast(near[:, :, None] == asked[:, None], tf.float32)
            by_event = tf.einsum("ek,ekm->em", values, same)
        sums = tf.matmul(weights, tf.reshape(by_event, [batch, events, -1]))
        parts[MEMORY_PARTS[name]] = getattr(model.memory, name) * model.memory.unweighted_scores(name, sums)
    return parts


def repeat_scores(model: NextItemModel, variants: Variants, items: tf.Tensor | None) -> tf.Tensor:
    """The bias on repeated items, float32 `[batch, variants, m]`; `items` as for `deletion_parts`."""
    if items is None:
        return _repeat_scores(model, variants, tf.one_hot(variants.items, model.num_items))
    asked = (variants.items[:, :, None] == items[:, None]) & (items >= 0)[:, None]
    # Where lists leave out what was seen, no item asked for is a repeat.
    return tf.cond(
        tf.reduce_any(asked),
        lambda: _repeat_scores(model, variants, tf.cast(asked, tf.float32)),
        lambda: tf.zeros([tf.shape(items)[0], tf.shape(variants.keep)[1], tf.shape(items)[1]]),
    )


def _repeat_scores(model: NextItemModel, variants: Variants, asked: tf.Tensor) -> tf.Tensor:
    """`repeat_scores`, from which item each event is on: float32 `[batch, events, m]`, one-hot."""
    assert model.repeats is not None
    ours, keep = variants.items, tf.cast(variants.keep, tf.float32)
    same = tf.cast((ours[:, :, None] == ours[:, None]) & (ours >= 0)[:, None], tf.float32)
    later = tf.linalg.band_part(same, -1, 0) - tf.linalg.diag(tf.linalg.diag_part(same))  # [later, earlier]
    last = variants.keep & (tf.matmul(keep, later) < 0.5)
    place = tf.range(tf.shape(ours)[1])
    newest = tf.reduce_max(tf.where(variants.keep, place, -1), axis=2)
    newest_item = tf.gather(ours, tf.maximum(newest, 0), batch_dims=1)
    coefficients = model.repeats.coefficients
    values = tf.where(ours[:, None] == newest_item[..., None], coefficients[0], coefficients[1])
    values += coefficients[2] * tf.math.log(tf.maximum(tf.matmul(keep, same), 1.0))
    values += model.repeats.kind_bias(variants.kinds, coefficients)[:, None]
    return tf.matmul(tf.where(last, values, 0.0), asked)


def deletion_parts(
    model: NextItemModel,
    variants: Variants,
    history_vectors: tf.Tensor,
    item_vectors: tf.Tensor,
    items: tf.Tensor | None,
) -> dict[str, tf.Tensor]:
    """What each part of the model adds to the score of items, in each variant.

    Args:
        model: A model with `causal_blocks`; see `variant_queries` for when the result is exact.
        variants: The variants.
        history_vectors: float32 `[batch, events, dim]`, the vectors of the events' items in a history, 0 at padding.
        item_vectors: float32 `[batch, m, dim]`, or `[1, num_items, dim]`: the unit vectors of the items to score.
        items: int32 `[batch, m]`, the items to score; −1 is padding. None for the whole catalogue.

    Returns:
        From the name of a part to float32 `[batch, variants, m]`.
    """
    query = variant_queries(model, history_vectors, variants)
    network = tf.matmul(query, item_vectors, transpose_b=True)
    parts = {NETWORK: network, **memory_scores(model, variants, items)}
    if model.repeats is not None:
        parts[REPEATS] = repeat_scores(model, variants, items)
    if model.popularity is not None:
        popular = model.popularity.weight * model.popularity.catalogue_log_popularity(model.num_items)
        popular = popular[None] if items is None else tf.gather(popular, tf.maximum(items, 0))
        parts[POPULARITY] = tf.zeros_like(network) + popular[:, None]
    return parts
