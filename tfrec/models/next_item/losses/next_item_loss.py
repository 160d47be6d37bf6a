"""The next-item loss at every position of the histories, over the whole catalogue or over candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import select_rows
from tfrec.models.next_item.losses.candidate_sampler import Candidates, sampled_cross_entropy
from tfrec.models.next_item.losses.chunked_sum import chunked_sum
from tfrec.models.next_item.losses.pairwise import bpr, generalised_bce
from tfrec.models.next_item.losses.softmax_loss import softmax_loss
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum, gather_columns, item_columns
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
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

    Returns:
        float32 scalar; 0 if no position has a label.
    """
    columns = None if candidates is None else item_columns(candidates.items, model.num_items)
    history = lookup(vectors, gather_columns(columns, inputs[schema.HISTORY_ITEMS]))
    hidden = model.body([history, inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]], training=training)
    items, events, positions = _recorded_history(inputs, model.scaled(hidden))
    scored = model.drop_items(tf.math.l2_normalize(vectors, axis=-1), training=training)
    repeats = [] if model.repeats is None else [model.repeats.coefficients]
    memory = model.memory if memory_in_loss else None
    weights = [] if memory is None else memory.learned_weights()
    unseen = model.unseen if candidates is None else tf.gather(model.unseen, tf.maximum(candidates.items, 0))
    loss_function = _loss_function(kind, candidates, model.num_items)

    def chunk_loss(
        positions: tf.Tensor, items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, *shared: tf.Tensor
    ) -> tf.Tensor:
        real = labels >= 0
        width = tf.shape(shared[0])[0]
        states = select_rows(positions, real, static_shapes)
        parts = [tf.nn.bias_add(tf.matmul(states, shared[0], transpose_b=True), unseen)]
        if memory is not None:
            liked = model.remembered(items, events)
            remembered = memory.unweighted_scores_at_labels(liked, labels, width, columns, static_shapes)
            parts += [weight * part for weight, part in zip(shared[1 + len(repeats) :], remembered, strict=True)]
        if model.repeats is not None:
            indices, values = model.repeats.prefix_biases(items, events, shared[1])
            indices = select_rows(gather_columns(columns, indices), real, static_shapes)
            parts.append(bincount_scatter_sum(indices, select_rows(values, real, static_shapes), width))
        logits = tf.add_n(parts)
        targets = select_rows(gather_columns(columns, labels), real, static_shapes)
        losses = loss_function(logits, tf.maximum(targets, 0))
        return tf.reduce_sum(tf.where(targets >= 0, losses, 0.0) if static_shapes else losses)

    rows = tf.maximum(LOGITS_AT_ONCE // (tf.shape(items)[1] * tf.shape(scored)[0]), 1)
    total = chunked_sum(
        chunk_loss, [positions, items, events, labels], [scored, *repeats, *weights], rows, static_shapes
    )
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


def _recorded_history(inputs: dict[str, tf.Tensor], positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The recorded histories, and the transformer's output after each of their prefixes.

    Args:
        inputs: Inputs of the model, augmented or not.
        positions: float32 `[batch, length, dim]`, output at each position that the transformer read.

    Returns:
        items, events: int32 `[batch, length]`. positions: float32 `[batch, length, dim]`.
    """
    if schema.RECORDED_ITEMS not in inputs:
        return inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS], positions
    positions = tf.gather(positions, inputs[schema.READ_POSITIONS], batch_dims=1)
    return inputs[schema.RECORDED_ITEMS], inputs[schema.RECORDED_EVENTS], positions
