"""NextItemModel's loss at every position of its histories, over the whole catalogue or over some candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import rows_at
from tfrec.models.next_item.losses.candidate_sampler import Candidates, sampled_cross_entropy
from tfrec.models.next_item.losses.chunked_sum import chunked_sum
from tfrec.models.next_item.losses.pairwise import bpr, generalised_bce
from tfrec.models.next_item.losses.softmax_loss import softmax_loss
from tfrec.models.next_item.sparse_ops import columns_of, lookup_columns, spread
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
    from tfrec.models.next_item.model import NextItemModel

LOGITS_AT_ONCE = 2**21
"""Scores of a training step that exist at the same time: 8 MiB, a few times over, which mostly stay in a cache."""


def next_item_loss(
    model: NextItemModel,
    inputs: dict[str, tf.Tensor],
    labels: tf.Tensor,
    vectors: tf.Tensor,
    candidates: Candidates | None = None,
    *,
    kind: str = "softmax",
    training: bool = True,
    static_shapes: bool = False,
) -> tf.Tensor:
    """Mean loss of the next item: its cross-entropy under a softmax over the catalogue, or over candidates that stand
    for it, or one of `pairwise`.

    Args:
        model: Its transformer, and all that it adds to the cosine.
        inputs: As the model's; with `recorded_items`, `recorded_events` and `read_places` where the transformer reads
            another history than was recorded (`Augmentation`).
        labels: int32 `[batch, length]`, the item that followed each position; −1 where there is none to learn.
        vectors: float32 `[num_items, dim]`, or `[m, dim]` of the candidates, as a history reads them.
        candidates: Every label and every item of the histories has to be among them. None for the whole catalogue.
        kind: "softmax"; with candidates also "gbce" or "bpr".
        training: Whether dropout is on.
        static_shapes: Whether no shape may depend on values, so that XLA can compile it. All positions are scored then,
            and those without a label are left out of the sum.

    Returns:
        float32 scalar; 0 when no position has a label.
    """
    columns = None if candidates is None else columns_of(candidates.items, model.num_items)
    history = lookup(vectors, lookup_columns(columns, inputs[schema.HISTORY_ITEMS]))
    hidden = model.body([history, inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]], training=training)
    items, events, positions = _as_recorded(inputs, model.scaled(hidden))
    scored = model.drop_items(tf.math.l2_normalize(vectors, axis=-1), training=training)
    repeats = [] if model.repeats is None else [model.repeats.coefficients]
    weights = [] if model.memory is None else model.memory.weights_used()
    unseen = model.unseen if candidates is None else tf.gather(model.unseen, tf.maximum(candidates.items, 0))
    loss_at = _loss_at(kind, candidates, model.num_items)

    def summed(
        positions: tf.Tensor, items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, *shared: tf.Tensor
    ) -> tf.Tensor:
        real = labels >= 0
        width = tf.shape(shared[0])[0]
        states = rows_at(positions, real, static_shapes)
        parts = [tf.nn.bias_add(tf.matmul(states, shared[0], transpose_b=True), unseen)]
        if model.memory is not None:
            liked = model.remembered(items, events)
            remembered = model.memory.parts_at_labels(liked, labels, width, columns, static_shapes)
            parts += [weight * part for weight, part in zip(shared[1 + len(repeats) :], remembered, strict=True)]
        if model.repeats is not None:
            found, values = model.repeats.at_every_position(items, events, shared[1])
            found = rows_at(lookup_columns(columns, found), real, static_shapes)
            parts.append(spread(found, rows_at(values, real, static_shapes), width))
        logits = tf.add_n(parts)
        wanted = rows_at(lookup_columns(columns, labels), real, static_shapes)
        losses = loss_at(logits, tf.maximum(wanted, 0))
        return tf.reduce_sum(tf.where(wanted >= 0, losses, 0.0) if static_shapes else losses)

    rows = tf.maximum(LOGITS_AT_ONCE // (tf.shape(items)[1] * tf.shape(scored)[0]), 1)
    total = chunked_sum(summed, [positions, items, events, labels], [scored, *repeats, *weights], rows, static_shapes)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))


def _loss_at(kind: str, candidates: Candidates | None, num_items: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The loss of logits `[n, columns]` and the columns wanted, int32 `[n]`: float32 `[n]`."""
    if candidates is None:
        return softmax_loss
    log_weights = candidates.log_weights
    if kind == "gbce":
        return lambda logits, wanted: generalised_bce(logits, wanted, log_weights, num_items)
    loss = bpr if kind == "bpr" else sampled_cross_entropy
    return lambda logits, wanted: loss(logits, wanted, log_weights)


def _as_recorded(inputs: dict[str, tf.Tensor], positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Items and events of the histories as they were, int32 `[batch, length]`, and the transformer's output after each
    of their prefixes: `read_places` says how far it has read at the end of each."""
    if schema.RECORDED_ITEMS not in inputs:
        return inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS], positions
    read = tf.gather(positions, inputs[schema.READ_PLACES], batch_dims=1)
    return inputs[schema.RECORDED_ITEMS], inputs[schema.RECORDED_EVENTS], read
