"""NextItemModel's loss over some candidates in the place of the whole catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.losses.candidate_sampler import (
    Candidates,
    CandidateSampler,
    columns_of,
    sampled_cross_entropy,
)
from tfrec.models.next_item.losses.chunked_sum import chunked_sum
from tfrec.models.next_item.losses.contrastive import VIEWS, contrastive_term, view_name
from tfrec.models.next_item.losses.full_softmax import LOGITS_AT_ONCE
from tfrec.models.next_item.losses.pairwise import bpr, generalised_bce
from tfrec.models.next_item.losses.recorded_history import as_recorded, steps_of
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
    from tfrec.models.next_item.model import NextItemModel


def candidate_loss(
    model: NextItemModel,
    inputs: dict[str, tf.Tensor],
    labels: tf.Tensor,
    candidates: Candidates,
    vectors: tf.Tensor,
    training: bool = True,
    kind: str = "softmax",
) -> tf.Tensor:
    """Mean loss of the next item over the candidates: cross-entropy, the softmax's denominator estimated from them, or
    one of `pairwise_losses`.

    Args:
        model: Its scores, with all that is added to the cosine.
        inputs: As the model's.
        labels: int32 `[batch, length]`, the item that followed each position; −1 where there is none to learn.
        candidates: Every label and every item of the histories has to be among them.
        vectors: float32 `[m, dim]`, the candidates as a history reads them.
        training: Whether dropout is on.
        kind: "softmax", "gbce" or "bpr".

    Returns:
        float32 scalar; 0 when no position has a label.
    """
    columns = columns_of(candidates.items, model.num_items)

    def read(items: tf.Tensor) -> tf.Tensor:
        return lookup(vectors, tf.where(items >= 0, tf.gather(columns, tf.maximum(items, 0)), -1))

    about = [inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]]
    hidden = model.body([read(inputs[schema.HISTORY_ITEMS]), *about], training=training)
    scaled = tf.math.l2_normalize(hidden, axis=-1) * tf.exp(-model.log_temperature)
    history, events, positions = as_recorded(inputs, scaled)
    scored = model.drop_items(tf.math.l2_normalize(vectors, axis=-1), training=training)
    bias = [] if model.repeats is None else [model.repeats.numbers]
    weights = [] if model.memory is None else model.memory.weights_used()
    count = tf.size(candidates.items)
    unseen = tf.gather(model.unseen, candidates.items)

    def summed(
        positions: tf.Tensor, items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, *shared: tf.Tensor
    ) -> tf.Tensor:
        real = labels >= 0
        logits = tf.matmul(tf.boolean_mask(positions, real), shared[0], transpose_b=True) + unseen
        if model.memory is not None:
            wide = tf.pad(logits, [[0, 0], [0, 1]])  # the last column takes what is about no candidate
            given = list(shared[1 + len(bias) :])
            logits = model.memory.add_at_labels(wide, items, labels, given, columns)[:, :count]
        if model.repeats is not None:
            indices, values = model.repeats.at_every_position(items, events, shared[1])
            places = tf.boolean_mask(tf.gather(columns, indices), real)
            rows = tf.broadcast_to(tf.range(tf.shape(places)[0])[:, None], tf.shape(places))
            cells = tf.stack([rows, tf.minimum(places, count - 1)], axis=-1)  # padding has a place, and adds 0
            logits = tf.tensor_scatter_nd_add(logits, cells, tf.boolean_mask(values, real))
        wanted = tf.gather(columns, tf.boolean_mask(labels, real))
        if kind == "gbce":
            return tf.reduce_sum(generalised_bce(logits, wanted, candidates.log_weights, model.num_items))
        loss = bpr if kind == "bpr" else sampled_cross_entropy
        return tf.reduce_sum(loss(logits, wanted, candidates.log_weights))

    rows = tf.maximum(LOGITS_AT_ONCE // (tf.shape(history)[1] * (count + 1)), 1)
    total = chunked_sum(summed, [positions, history, events, labels], [scored, *bias, *weights], rows)
    loss = tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))
    return loss + contrastive_term(model, inputs, read, training) if model.contrastive and training else loss


def sampled_loss(
    model: NextItemModel, inputs: dict[str, tf.Tensor], labels: tf.Tensor, sampler: CandidateSampler, kind: str
) -> tf.Tensor:
    """`candidate_loss` of a training step whose candidates are drawn now; only their vectors are computed."""
    candidates = step_candidates(sampler, inputs, labels, model.optimizer.iterations)
    table = model.items
    parts = [table.of_text(table.text_of(candidates.items, True, steps_of(model)))] if table.text_dim else []
    parts += [table.id_part(candidates.items, training=True)] if table.use_id else []
    return candidate_loss(model, inputs, labels, candidates, tf.add_n(parts), kind=kind)


def step_candidates(
    sampler: CandidateSampler, inputs: dict[str, tf.Tensor], labels: tf.Tensor, step: tf.Tensor | int
) -> Candidates:
    """What a step has to have at hand: the labels, the histories, and what the sampler draws."""
    wanted = tf.boolean_mask(labels, labels >= 0)
    names = [schema.HISTORY_ITEMS, schema.RECORDED_ITEMS, *(view_name(i, schema.HISTORY_ITEMS) for i in range(VIEWS))]
    read = [tf.boolean_mask(inputs[name], inputs[name] >= 0) for name in names if name in inputs]
    return sampler.draw(wanted, step, also=tf.concat(read, axis=0))
