"""NextItemModel's loss over the whole catalogue, in parts of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec.models.next_item.losses.chunked_sum import chunked_sum

if TYPE_CHECKING:
    from tfrec.models.next_item.model import NextItemModel

LOGITS_AT_ONCE = 2**22
"""Scores of a training step that exist at the same time: 16 MiB, a few times over, which mostly stay in a cache."""


def full_loss(
    model: NextItemModel,
    items: tf.Tensor,
    events: tf.Tensor,
    labels: tf.Tensor,
    positions: tf.Tensor,
    vectors: tf.Tensor,
    training: bool,
) -> tf.Tensor:
    """Mean cross-entropy of the labels under a softmax over the catalogue.

    Args:
        model: Its memory, its bias on repeats and the items that training never sees are read.
        items: int32 `[batch, length]`, the histories.
        events: int32 `[batch, length]`, their event kinds.
        labels: int32 `[batch, length]`, −1 where there is none to learn.
        positions: float32 `[batch, length, dim]`, unit vectors over the temperature.
        vectors: float32 `[num_items, dim]`, all items as a history reads them.
        training: Whether item dropout is on.

    Returns:
        float32 scalar; 0 when no position has a label.
    """
    scored = model.drop_items(tf.math.l2_normalize(vectors, axis=-1), training=training)
    bias = [] if model.repeats is None else [model.repeats.numbers]
    weights = [] if model.memory is None else model.memory.weights_used()

    def summed(
        positions: tf.Tensor, items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, *shared: tf.Tensor
    ) -> tf.Tensor:
        real = labels >= 0
        logits = tf.matmul(tf.boolean_mask(positions, real), shared[0], transpose_b=True) + model.unseen
        if model.memory is not None:
            logits = model.memory.add_at_labels(logits, items, labels, list(shared[1 + len(bias) :]))
        if model.repeats is not None:
            indices, values = model.repeats.at_every_position(items, events, shared[1])
            logits = add_at(logits, tf.boolean_mask(indices, real), tf.boolean_mask(values, real))
        wanted = tf.boolean_mask(labels, real)
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits))

    rows = tf.maximum(LOGITS_AT_ONCE // (tf.shape(items)[1] * model.num_items), 1)
    total = chunked_sum(summed, [positions, items, events, labels], [scored, *bias, *weights], rows)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))


def add_at(scores: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Adds values `[rows, n]` to scores `[rows, num_items]` at indices `[rows, n]`; those of one index add up."""
    rows = tf.broadcast_to(tf.range(tf.shape(indices)[0])[:, None], tf.shape(indices))
    return tf.tensor_scatter_nd_add(scores, tf.stack([rows, indices], axis=-1), values)
