"""Scores of two stages after deletions, for the signature `explain` of their export."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfrec import schema
from tfrec.serving.modules.click_ranker import RankerGraph
from tfrec.serving.modules.merged_stages import Rescaled


class CandidatePool(NamedTuple):
    """The candidates of the whole history, and where their scores lie; deletions leave them as they are.

    Attributes:
        candidates: int32 `[batch, pool]`, the items that the ranker orders; −1 is padding.
        rescaled: What makes of a score of the first stage what it adds to that of a candidate.
        below: float32 `[batch, 1]`, what is added to the first stage's scores of all other items.
    """

    candidates: tf.Tensor
    rescaled: Rescaled
    below: tf.Tensor


class BothStages:
    """A `SecondStage`: the ranker's parts of scores, and what the first stage adds to them.

    The ranker is asked again for each variant. Which items are candidates, and the means and deviations by which the
    first stage's scores come to the scale of the ranker's, stay those of the whole history.

    Args:
        ranker: The ranker.
        items: int32 `[batch, H]`, histories as requested; −1 for padding and unknown ids, anywhere.
        events: string `[batch, H]`, their event kinds.
        place: int32 `[batch, events]`, where the events of variants stand in the request; −1 is padding.
        pool: The candidates.
    """

    def __init__(
        self, ranker: RankerGraph, items: tf.Tensor, events: tf.Tensor, place: tf.Tensor, pool: CandidatePool
    ) -> None:
        self._ranker, self._items, self._events, self._place, self._pool = ranker, items, events, place, pool

    def parts(self, first: tf.Tensor, keep: tf.Tensor, items: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `SecondStage.parts`: "ranker BEHAVIOUR", and "first stage", which is the rest."""
        candidate = tf.reduce_any(items[..., None] == self._pool.candidates[:, None, None], axis=3) & (items >= 0)
        probabilities = self._probabilities(keep, tf.where(candidate, items, schema.PADDING))
        parts = {
            f"ranker {name}": probabilities[..., at] * weight
            for at, (name, weight) in enumerate(self._ranker.weights.items())
        }
        rescaled, below = self._pool.rescaled.of(first), first + self._pool.below[:, None]
        return {**parts, "first stage": tf.where(candidate, rescaled, below)}

    def _probabilities(self, keep: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """float32 `[batch, variants, m, behaviours]`; 0 for padding."""
        variants, length = tf.shape(keep)[1], self._items.shape[1]
        places = tf.one_hot(self._place, length)  # [batch, events, H]
        gone = tf.matmul(tf.cast(~keep, tf.float32), places) > 0.5
        history = tf.where(gone, schema.PADDING, self._items[:, None])
        flat = tf.reshape(history, [-1, length]), tf.repeat(self._events, variants, axis=0)
        _, found = self._ranker.scores_and_probabilities(*flat, tf.reshape(items, [-1, tf.shape(items)[2]]))
        return tf.reshape(found, tf.concat([tf.shape(items), [len(self._ranker.weights)]], axis=0))
