"""The next-item loss at every position of the histories, over the whole catalogue or over candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import select_rows
from tfrec.models.next_item.losses.candidate_sampler import Candidates, sampled_cross_entropy
from tfrec.models.next_item.losses.chunked_sum import chunked_sum
from tfrec.models.next_item.losses.pairwise import bpr, generalised_bce
from tfrec.models.next_item.losses.position_logits import PositionLogits
from tfrec.models.next_item.losses.softmax_loss import softmax_loss, taught_softmax_loss
from tfrec.models.next_item.sparse_ops import gather_columns, item_columns
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
    from tfrec.models.next_item.losses.teachers import Teachers
    from tfrec.models.next_item.model import NextItemModel

LOGITS_AT_ONCE = 2**21
"""Logits of a training step that are in memory together: a few arrays of 8 MiB, which mostly fit into the cache."""


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
    memory_in_loss: bool = True,
    teachers: Teachers | None = None,
) -> tf.Tensor:
    """The mean loss of the next item over all positions with a label.

    The loss is a softmax cross-entropy over the catalogue or, with candidates, a sampled softmax or a pairwise loss.

    Args:
        model: The model.
        inputs: Inputs of the model; with augmentation also `recorded_items`, `recorded_events` and `read_positions`
            (`Augmentation.augment_inputs`).
        labels: int32 `[batch, length]`, the item that followed each position; −1 at positions without a label.
        vectors: float32 `[num_items, dim]`, or `[m, dim]` for candidates: item vectors, not normalised.
        candidates: The items that are scored, which must include all labels and all items of the histories. None for
            the whole catalogue.
        kind: str. "softmax", or with candidates also "gbce" or "bpr".
        training: bool. Whether dropout is on.
        static_shapes: bool. Whether shapes must not depend on values, so that XLA can compile the loss. Then all
            positions are scored, and those without a label are ignored in the sum.
        memory_in_loss: bool. Whether the scores contain those of the neighbour memory, if the model has one.
        teachers: Models whose probabilities have a share in the targets, without candidates. None for the labels alone.

    Returns:
        float32 scalar; 0 if no position has a label.
    """
    columns = None if candidates is None else item_columns(candidates.items, model.num_items)
    history = lookup(vectors, gather_columns(columns, inputs[schema.HISTORY_ITEMS]))
    hidden = model.body([history, inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]], training=training)
    items, events = _recorded_history(inputs)
    (positions,) = _recorded_positions(inputs, [model.scaled(hidden)])
    scored = model.drop_items(tf.math.l2_normalize(vectors, axis=-1), training=training)
    logits = PositionLogits(
        *(model, scored, candidates, columns), memory_in_loss=memory_in_loss, static_shapes=static_shapes
    )
    loss_function = _loss_function(kind, candidates, model.num_items)
    taught = [] if teachers is None else _recorded_positions(inputs, teachers.positions(inputs))

    def chunk_loss(
        items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, positions: tf.Tensor, *rest: tf.Tensor
    ) -> tf.Tensor:
        theirs, shared = rest[: len(taught)], rest[len(taught) :]
        ours = logits(positions, items, events, labels, *shared)
        targets = select_rows(gather_columns(columns, labels), labels >= 0, static_shapes)
        if teachers is None:
            losses = loss_function(ours, tf.maximum(targets, 0))
        else:
            shares = teachers.shares(theirs, items, events, labels)
            losses = taught_softmax_loss(ours, tf.maximum(targets, 0), shares, tf.constant(teachers.weight))
        return tf.reduce_sum(tf.where(targets >= 0, losses, 0.0) if static_shapes else losses)

    rows = tf.maximum(LOGITS_AT_ONCE // (tf.shape(items)[1] * tf.shape(scored)[0]), 1)
    batch = [items, events, labels, positions, *taught]
    total = chunked_sum(chunk_loss, batch, logits.shared, rows, static_shapes)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))


def _loss_function(
    kind: str, candidates: Candidates | None, num_items: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """From logits, float32 `[n, m]`, and the columns of the labels, int32 `[n]`, to the losses, float32 `[n]`."""
    if candidates is None:
        return softmax_loss
    log_weights = candidates.log_weights
    if kind == "gbce":
        return lambda logits, targets: generalised_bce(logits, targets, log_weights, num_items)
    loss = bpr if kind == "bpr" else sampled_cross_entropy
    return lambda logits, targets: loss(logits, targets, log_weights)


def _recorded_history(inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Items and events of the recorded histories, int32 `[batch, length]` each; the inputs unless augmented."""
    if schema.RECORDED_ITEMS not in inputs:
        return inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS]
    return inputs[schema.RECORDED_ITEMS], inputs[schema.RECORDED_EVENTS]


def _recorded_positions(inputs: dict[str, tf.Tensor], positions: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The queries after each prefix of the recorded histories, float32 `[batch, length, dim]` each.

    Args:
        inputs: Inputs of the model, augmented or not.
        positions: float32 `[batch, length, dim]` each, the queries at each position that was read.
    """
    if schema.RECORDED_ITEMS not in inputs:
        return list(positions)
    return [tf.gather(each, inputs[schema.READ_POSITIONS], batch_dims=1) for each in positions]
