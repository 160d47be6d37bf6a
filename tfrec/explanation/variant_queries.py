"""The queries of a NextItemModel for many variants of a history at once, in each of which events are missing.

Each event is encoded once for each position that it can come to; a variant then costs one attention over the events
that it keeps. Exact for models of one block, the default. In deeper ones the lower blocks see the whole history.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfrec.models.next_item.gated_block import GatedBlock
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.transformer import CausalBlock


class Variants(NamedTuple):
    """A batch of histories and the variants of each.

    Attributes:
        items: int32 `[batch, events]`, oldest first, −1 is padding on the right.
        kinds: int32 `[batch, events]`.
        keep: bool `[batch, variants, events]`, false at padding.
        most: int32 scalar, the largest number of events that a variant lacks.
    """

    items: tf.Tensor
    kinds: tf.Tensor
    keep: tf.Tensor
    most: tf.Tensor


def variants_of(items: tf.Tensor, kinds: tf.Tensor, keep: tf.Tensor) -> Variants:
    """The variants, with padding left out of `keep`."""
    keep &= (items >= 0)[:, None]
    lengths = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    left = tf.reduce_sum(tf.cast(keep, tf.int32), axis=2)
    return Variants(items, kinds, keep, tf.reduce_max(lengths[:, None] - left))


def can_share(model: NextItemModel) -> bool:
    """Whether `variant_queries` is exact: one block and no time gaps, which deletions would change."""
    return len(causal_blocks(model)) == 1 and not model.get_config()["time_gaps"]


def causal_blocks(model: NextItemModel) -> list[CausalBlock | GatedBlock]:
    """The model's blocks; none if it reads the newest event alone."""
    return [layer for layer in model.body.layers if isinstance(layer, CausalBlock | GatedBlock)]


def variant_queries(model: NextItemModel, vectors: tf.Tensor, variants: Variants) -> tf.Tensor:
    """The query of each variant, float32 `[batch, variants, dim]`; 0 where nothing is kept.

    A deletion moves the events after it, or, where the history is longer than the model reads, those before it. So an
    event is encoded at each of the `most + 1` positions that it can come to.

    Args:
        model: A model with `causal_blocks`. The result is exact if it `can_share`; in deeper models the events that are
            left keep what the lower blocks have mixed into them, and time gaps are read as 0.
        vectors: float32 `[batch, events, dim]`, the vectors of the events' items, 0 at padding.
        variants: The variants.
    """
    *lower, last = causal_blocks(model)
    items, kinds, keep, most = variants
    kept = tf.cast(keep, tf.int32)
    length, left = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1), tf.reduce_sum(kept, axis=2)
    unread = tf.maximum(left - model.max_history, 0)
    place = tf.cumsum(kept, axis=2, exclusive=True) - unread[:, :, None]  # of an event in what the model reads
    least = tf.maximum(length - most - model.max_history, 0)
    shift = tf.range(tf.shape(items)[1]) - place - least[:, None, None]

    shifts = most + 1
    positions = tf.range(tf.minimum(tf.shape(items)[1], model.max_history))
    source = least[:, None, None] + tf.range(shifts)[None, :, None] + positions  # the event at a position of a shift
    inside = source < length[:, None, None]
    source = tf.where(inside, source, 0)
    batch, spread = tf.shape(items)[0], tf.shape(source)
    embedded = model.body.get_layer("event_embedding")(
        tf.reshape(tf.gather(vectors, source, batch_dims=1), [batch * shifts, spread[2], model.dim]),
        tf.reshape(tf.gather(kinds, source, batch_dims=1), [batch * shifts, spread[2]]),
        tf.zeros([batch * shifts, spread[2]]),
    )
    for block in lower:
        embedded = block(embedded, training=False)
    states = tf.reshape(embedded, [batch, shifts * spread[2], model.dim])

    flat = tf.reshape(source, [batch, -1])
    ours = tf.reshape(tf.broadcast_to(tf.range(shifts)[None, :, None], spread), [batch, 1, -1])
    visible = tf.gather(keep, flat, axis=2, batch_dims=1) & (tf.gather(shift, flat, axis=2, batch_dims=1) == ours)
    visible &= tf.reshape(inside, [batch, 1, -1])
    event = tf.where(visible, flat[:, None], -1)
    newest = tf.argmax(event, axis=2, output_type=tf.int32)
    hidden = last.at_newest(states, tf.tile(positions, [shifts]), newest, visible)
    query = model.scaled(model.body.get_layer("final_norm")(hidden))
    return query * tf.cast(left > 0, tf.float32)[..., None]
