"""Reasons for scores in one TensorFlow graph, as the signature `explain` serves them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import tensorflow as tf

from tfrec.explanation.leave_one_out import LEAST
from tfrec.explanation.variant_parts import deletion_parts, memory_scores, repeat_scores
from tfrec.explanation.variant_queries import Variants, variants_of
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.catalogue_parts import NETWORK, REPEATS

RAISING: Final = 3
"""Events named that raise the score."""
NAMED: Final = RAISING + 1
"""Events named: the last place is that of the event that lowers the score most."""
DELETED: Final = 50
"""Newest events that are deleted in turn."""
LARGEST_SET: Final = 5
"""Events that are deleted together, to see how many it takes."""


class SecondStage(Protocol):
    """Makes scores of two stages of those of the first."""

    def parts(self, first: tf.Tensor, keep: tf.Tensor, items: tf.Tensor) -> dict[str, tf.Tensor]:
        """What each part of both stages adds to the scores of items, after variants of histories.

        Args:
            first: float32 `[batch, variants, m]`, scores of the first stage.
            keep: bool `[batch, variants, events]`, the events that each variant has.
            items: int32 `[batch, variants, m]`; −1 is padding.

        Returns:
            From the name of a part to float32 `[batch, variants, m]`; the sum is the score.
        """
        ...


class Reasons(NamedTuple):
    """Why items have their scores.

    Attributes:
        parts: From the name of a part to float32 `[batch, m]`; the sum is the score.
        first_stage: The parts of the first stage's score, where a second one makes the score of it; else empty.
        events: int32 `[batch, m, NAMED]`, positions in the history of the events that raise the score most, and last of
            that which lowers it most; −1 for none.
        effects: float32 `[batch, m, NAMED]`, what the score loses without them.
        removal_size: int32 `[batch, m]`, how many events, the one that raises the item most first, must go until the
            item scores lower than the lowest of the other items; 0 if `LARGEST_SET` do not do it, or there is no other.
    """

    parts: dict[str, tf.Tensor]
    first_stage: dict[str, tf.Tensor]
    events: tf.Tensor
    effects: tf.Tensor
    removal_size: tf.Tensor


def served_reasons(
    model: NextItemModel,
    items: tf.Tensor,
    kinds: tf.Tensor,
    asked: tf.Tensor,
    vectors: tuple[Any, Any],
    second: SecondStage | None = None,
) -> Reasons:
    """The reasons for the scores of some items.

    The effects of single events are exact if the model `can_share`. In a larger set, the memory and the repeats are
    exact, the network's effects are added up, and the other items keep their scores.

    Args:
        model: A model with `causal_blocks`.
        items: int32 `[batch, events]`, histories, oldest first, padded on the right with −1.
        kinds: int32 `[batch, events]`, their event kinds.
        asked: int32 `[batch, m]`, the items to explain; −1 is padding.
        vectors: The vectors of the histories' items, float32 `[batch, events, dim]`, and the unit vectors of the items
            to explain, `[batch, m, dim]`.
        second: The second stage; None if the model's scores are those of the lists.
    """
    length = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    width = tf.minimum(tf.shape(items)[1], DELETED)
    place = length[:, None] - tf.range(1, width + 1)  # of the event that each variant lacks, the newest first
    lacks = tf.concat([tf.fill([tf.shape(items)[0], 1], -1), place], axis=1)
    keep = tf.range(tf.shape(items)[1]) != lacks[:, :, None]
    own = deletion_parts(model, variants_of(items, kinds, keep), *vectors, asked)
    first = tf.add_n(list(own.values()))
    parts = own if second is None else second.parts(first, keep, tf.broadcast_to(asked[:, None], tf.shape(first)))
    scores = tf.add_n(list(parts.values()))
    there = (place >= 0)[:, None]
    effects = tf.where(there, tf.transpose(scores[:, :1] - scores[:, 1:], [0, 2, 1]), 0.0)
    network = tf.where(there, tf.transpose(own[NETWORK][:, :1] - own[NETWORK][:, 1:], [0, 2, 1]), 0.0)
    room = [[0, 0], [0, 0], [0, tf.maximum(LARGEST_SET - width, 0)]]
    padded, network = tf.pad(effects, room), tf.pad(network, room)
    raising, order = tf.math.top_k(padded, LARGEST_SET)
    lowering = tf.argmin(padded, axis=2, output_type=tf.int32)[..., None]
    values = tf.concat([raising[..., :RAISING], tf.gather(padded, lowering, axis=2, batch_dims=2)], axis=2)
    ages = tf.concat([order[..., :RAISING], lowering], axis=2)
    real = tf.concat([values[..., :RAISING] > LEAST, values[..., RAISING:] < -LEAST], axis=2)
    real &= (asked >= 0)[..., None]
    left = _scores_without(model, items, kinds, asked, first[:, 0], raising, order, network, second)
    return Reasons(
        {name: part[:, 0] for name, part in parts.items()},
        {} if second is None else {name: part[:, 0] for name, part in own.items()},
        tf.where(real, length[:, None, None] - 1 - ages, -1),
        tf.where(real, values, 0.0),
        _sizes(scores[:, 0], tf.where(raising > 0, left, float("inf")), asked),  # a set grows by what raises the item
    )


def _scores_without(
    model: NextItemModel,
    items: Any,
    kinds: Any,
    asked: Any,
    first: Any,
    raising: Any,
    order: Any,
    network: Any,
    second: SecondStage | None,
) -> tf.Tensor:
    """float32 `[batch, m, LARGEST_SET]`: scores without the event that raises an item most, without two, and so on."""
    batch, m = tf.unstack(tf.shape(asked))
    length = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    gone = tf.where(raising > 0, length[:, None, None] - 1 - order, -1)
    hit = tf.cast(tf.range(tf.shape(items)[1]) == gone[..., None], tf.int32)
    keep = tf.cumsum(hit, axis=2) == 0  # [batch, m, LARGEST_SET, events]
    sets = variants_of(items, kinds, tf.reshape(keep, [batch, m * LARGEST_SET, -1]))
    everything = variants_of(items, kinds, tf.ones_like(sets.keep[:, :1]))
    lost = tf.cumsum(tf.where(raising > 0, tf.gather(network, order, axis=2, batch_dims=2), 0.0), axis=2)
    for without, full in zip(_counted(model, sets, asked), _counted(model, everything, asked)):
        own = tf.reshape(without, [batch, m, LARGEST_SET, m])
        lost += tf.transpose(full, [0, 2, 1]) - tf.einsum("bcsc->bcs", own)
    left = first[..., None] - lost
    if second is None:
        return left
    item = tf.broadcast_to(asked[..., None], tf.shape(left))
    flat = [tf.reshape(values, [batch, m * LARGEST_SET, 1]) for values in (left, item)]
    both = second.parts(flat[0], tf.reshape(keep, [batch, m * LARGEST_SET, -1]), flat[1])
    return tf.reshape(tf.add_n(list(both.values())), tf.shape(left))


def _counted(model: NextItemModel, variants: Variants, asked: tf.Tensor) -> list[tf.Tensor]:
    """The parts that are counted rather than computed by the network: float32 `[batch, variants, m]` each."""
    parts = memory_scores(model, variants, asked)
    if model.repeats is not None:
        parts[REPEATS] = repeat_scores(model, variants, asked)
    return list(parts.values())


def _sizes(scores: tf.Tensor, left: tf.Tensor, asked: tf.Tensor) -> tf.Tensor:
    """int32 `[batch, m]`: the first of the growing sets after which an item is below the lowest of the others; or 0."""
    others = ~tf.eye(tf.shape(asked)[1], dtype=tf.bool) & (asked >= 0)[:, None]
    lowest = tf.reduce_min(tf.where(others, scores[:, None], float("inf")), axis=2)
    below = (left < lowest[..., None]) & tf.math.is_finite(lowest)[..., None] & (asked >= 0)[..., None]
    first = tf.argmax(tf.cast(below, tf.int32), axis=2, output_type=tf.int32) + 1
    return tf.where(tf.reduce_any(below, axis=2), first, 0)
