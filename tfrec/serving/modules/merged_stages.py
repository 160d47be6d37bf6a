"""How the scores of two stages become one order, in a graph."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Rescaled(NamedTuple):
    """What the first stage's scores add to those of candidates: they come to the scale of the ranker's.

    Attributes:
        weight: Weight of the first stage's score, as in `tfrec.retrieval.two_stage_scorer.blend`.
        mean: float32 `[batch]`, of the ranker's scores of the candidates.
        deviation: float32 `[batch]`, of the same.
        first_mean: float32 `[batch]`, of the first stage's scores of the candidates.
        first_deviation: float32 `[batch]`, of the same.
    """

    weight: float
    mean: tf.Tensor
    deviation: tf.Tensor
    first_mean: tf.Tensor
    first_deviation: tf.Tensor

    def of(self, first: tf.Tensor) -> tf.Tensor:
        """The scores float32 `[batch, ...]`, rescaled and weighted."""
        if not self.weight:
            return tf.zeros_like(first)
        wide = [-1, *[1] * (first.shape.rank - 1)]
        mean, deviation, first_mean, first_deviation = (tf.reshape(value, wide) for value in self[1:])
        return self.weight * (mean + (first - first_mean) / tf.maximum(first_deviation, 1e-9) * deviation)


def rescaled(ranked: tf.Tensor, first: tf.Tensor, chosen: tf.Tensor, weight: float) -> Rescaled:
    """The scales of both stages.

    Args:
        ranked: float32 `[batch, pool]`, the ranker's scores.
        first: float32 `[batch, pool]`, the first stage's scores.
        chosen: bool `[batch, pool]`, the candidates.
        weight: float. Weight of the first stage's score.
    """
    return Rescaled(weight, *_mean_and_deviation(ranked, chosen), *_mean_and_deviation(first, chosen))


def merge_stages(
    ranked: tf.Tensor, first: tf.Tensor, real: tf.Tensor, candidates: int, first_stage: float = 0.0
) -> tf.Tensor:
    """Scores that order the first `candidates` of each list by the ranker, with the other items below them.

    Args:
        ranked: float32 `[batch, pool]`, the ranker's scores.
        first: float32 `[batch, pool]`, the first stage's scores, descending.
        real: bool `[batch, pool]`, false for padding, which stands at the end of a row.
        candidates: Number of items that the ranker orders.
        first_stage: Weight of the first stage's score, as in `tfrec.retrieval.two_stage_scorer.blend`.

    Returns:
        float32 `[batch, pool]`; −inf for padding.
    """
    chosen = real & (tf.range(tf.shape(first)[1]) < candidates)
    values = ranked + rescaled(ranked, first, chosen, first_stage).of(first)
    others = real & ~chosen
    below = first + below_candidates(values, chosen, tf.where(others, first, tf.float32.min))
    return tf.where(chosen, values, tf.where(others, below, -float("inf")))


def below_candidates(values: tf.Tensor, chosen: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """What is added to the first stage's scores of items that are no candidates, so that they come below these.

    Args:
        values: float32 `[batch, pool]`, scores of both stages.
        chosen: bool `[batch, pool]`, the candidates.
        others: float32 `[batch, n]`, the first stage's scores of the best other items; the lowest float32 is padding.

    Returns:
        float32 `[batch, 1]`. Where all is padding, lists hold candidates alone, and 0 stands for the best other score.
    """
    lowest = tf.reduce_min(tf.where(chosen, values, tf.float32.max), axis=1, keepdims=True)
    best = tf.reduce_max(others, axis=1, keepdims=True)
    return lowest - tf.where(best > tf.float32.min, best, 0.0) - 1


def _mean_and_deviation(values: tf.Tensor, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation of the real values of each row, `[batch]`."""
    count = tf.maximum(tf.reduce_sum(tf.cast(real, tf.float32), axis=1, keepdims=True), 1.0)
    mean = tf.reduce_sum(tf.where(real, values, 0.0), axis=1, keepdims=True) / count
    squares = tf.reduce_sum(tf.where(real, (values - mean) ** 2, 0.0), axis=1, keepdims=True)
    return mean[:, 0], tf.sqrt(squares / count)[:, 0]
