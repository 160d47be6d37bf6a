"""The contrastive loss: pairs the two augmented views of each sequence among all views of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.sparse_ops import gather_columns, item_columns
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
    from tfrec.models.next_item.losses.candidate_sampler import Candidates
    from tfrec.models.next_item.model import NextItemModel

VIEWS = 2
TEMPERATURE = 0.1
"""Temperature of the cosines between views. Chosen, not searched; the loss is off by default."""


def view_name(number: int, name: str) -> str:
    """The name in a batch of the model input `name` for view `number`.

    Example:
        >>> view_name(1, "history_items")
        'view_1_history_items'
    """
    return f"view_{number}_{name}"


def contrastive_term(
    model: NextItemModel,
    inputs: dict[str, tf.Tensor],
    vectors: tf.Tensor,
    candidates: Candidates | None = None,
    training: bool = True,
) -> tf.Tensor:
    """The mean contrastive loss (`info_nce`) between the two views of each sequence.

    A view is represented by the output of the transformer at its newest event (CL4SRec, Xie et al. 2022,
    https://arxiv.org/abs/2010.14395).

    Args:
        model: The model; only its transformer is used.
        inputs: `view_users`, int32 `[batch]`, and for both views the inputs of the model, named by `view_name`. Padding
            of a view has event kind −1; a masked event has item −1 and its kind.
        vectors: float32 `[num_items, dim]`, or `[m, dim]` for candidates, item vectors as for `next_item_loss`.
        candidates: The items of `vectors`; None for the whole catalogue.
        training: bool. Whether dropout is on.

    Returns:
        float32 scalar.
    """
    columns = None if candidates is None else item_columns(candidates.items, model.num_items)
    states = []
    for number in range(VIEWS):
        names = (schema.HISTORY_ITEMS, schema.HISTORY_EVENTS, schema.HISTORY_GAPS)
        items, kinds, gaps = (inputs[view_name(number, name)] for name in names)
        hidden = model.body([lookup(vectors, gather_columns(columns, items)), kinds, gaps], training=training)
        last = tf.reduce_sum(tf.cast(kinds >= 0, tf.int32), axis=1) - 1
        states.append(tf.gather(hidden, tf.maximum(last, 0), axis=1, batch_dims=1))
    return info_nce(states[0], states[1], inputs[schema.VIEW_USERS])


def info_nce(one: tf.Tensor, other: tf.Tensor, users: tf.Tensor, temperature: float = TEMPERATURE) -> tf.Tensor:
    """Mean cross-entropy of the other view of a sequence among all other views of the batch, with cosines over the
    temperature as logits (NT-Xent, Chen et al. 2020, https://arxiv.org/abs/2002.05709).

    Args:
        one: float32 `[batch, dim]`, the first view of each sequence.
        other: float32 `[batch, dim]`, the second view.
        users: int32 `[batch]`. Sequences of the same user are no negatives of each other; −1 is a row of padding.
        temperature: float.

    Returns:
        float32 scalar; 0 if all sequences are of one user.

    Example:
        >>> states = tf.eye(2)
        >>> round(float(info_nce(states, states, tf.constant([0, 1]), 1.0)), 4)  # log(e + 1 + 1) − 1
        0.5514
    """
    states = tf.math.l2_normalize(tf.concat([one, other], axis=0), axis=-1)
    logits = tf.matmul(states, states, transpose_b=True) / temperature
    batch = tf.shape(one)[0]
    row = tf.range(2 * batch)
    partner = (row + batch) % (2 * batch)
    view_users = tf.concat([users, users], axis=0)
    real = tf.cast(view_users >= 0, logits.dtype)
    masked = (view_users[:, None] == view_users[None, :]) | (view_users < 0)[None, :]
    masked &= partner[:, None] != row[None, :]
    logits = tf.where(masked, tf.constant(-1e9, logits.dtype), logits)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(partner, logits)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * real), tf.reduce_sum(real))
