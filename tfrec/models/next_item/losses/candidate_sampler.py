"""Softmax over a sample of the catalogue: who is drawn, and what each of them stands for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.losses.contrastive import VIEWS, view_name
from tfrec.models.next_item.losses.softmax_loss import softmax_loss

SOURCES = ("uniform", "popularity", "in-batch", "mixed")


class Candidates(NamedTuple):
    """The items that a training step scores.

    Attributes:
        items: int32 `[m]`, distinct catalogue positions, and −1 for places that are not needed.
        log_weights: float32 `[m]`: log of how many items of the catalogue each stands for; −inf for one that was not
            drawn and is here for another reason (as a label, or in a history).
    """

    items: tf.Tensor
    log_weights: tf.Tensor


class CandidateSampler:
    """Draws the candidates of a step so that their weighted sum is right on average.

    With c_j the times that item j is expected among the candidates and k_j the times it is there, the sum of
    `k_j / c_j · exp(s_j)` has the softmax's whole denominator as its expectation: this is the log-Q correction
    (Bengio & Senécal 2008; Yi et al. 2019, https://doi.org/10.1145/3298689.3346996). Its sign: what is drawn more
    often than its share counts less. Candidates that come from two sources at once have the sum of both expectations
    (the balance heuristic of Veach & Guibas 1995), so that mixing needs no further weights.

    Args:
        source: "uniform" and "popularity" draw `size` items with replacement; "in-batch" takes the other labels of the
            batch, which come by popularity; "mixed" takes both these and `size` uniform ones (Yang et al. 2020,
            https://doi.org/10.1145/3366424.3386195).
        counts: int `[num_items]`: how often each item is a label in training. 1 is added, so none is impossible.
        size: int. How many are drawn; not used by "in-batch".
        seed: int.

    Example:
        >>> sampler = CandidateSampler("in-batch", [3, 1, 0, 0])
        >>> found = sampler.draw(tf.constant([0, 1, 0]), step=0)
        >>> found.items.numpy(), np.exp(found.log_weights).round(2)
        (array([0, 1], dtype=int32), array([2., 2.], dtype=float32))
    """

    def __init__(self, source: str, counts: np.ndarray, size: int = 1024, seed: int = 0) -> None:
        if source not in SOURCES:
            raise ValueError(f"Expected a source among {', '.join(SOURCES)}; received {source!r}.")
        shares = np.asarray(counts, np.float64) + 1
        shares /= shares.sum()
        self.source, self.num_items, self.seed = source, len(shares), seed
        self.size = 0 if source == "in-batch" else size
        self._popularity = tf.constant(shares, tf.float32)
        drawn = shares if source == "popularity" else np.full(self.num_items, 1 / self.num_items)
        self._drawn = tf.constant(drawn, tf.float32)
        self._cumulative = tf.constant(np.cumsum(drawn)[:-1], tf.float32)

    def draw(
        self,
        labels: tf.Tensor,
        step: tf.Tensor | int,
        also: tf.Tensor | None = None,
        static_shapes: bool = False,
    ) -> Candidates:
        """The candidates of one step, which depend on the labels, the seed and the step alone.

        Args:
            labels: int32 `[n]`, what is to be predicted; all of it is among the candidates. −1 is none.
            step: int scalar.
            also: int32 `[k]`: items that have to be among the candidates though nobody drew them; −1 is none.
            static_shapes: Whether m is to follow from n and k alone: as many as there might be.
        """
        in_batch = self.source in ("in-batch", "mixed")
        drawn = self._random(step)
        times = _times(drawn, self.num_items)
        expected = self.size * self._drawn
        if in_batch:
            others = tf.reduce_sum(tf.cast(labels >= 0, tf.float32)) - 1  # a label is no candidate for itself
            times += _times(labels, self.num_items)
            expected += tf.maximum(others, 0.0) * self._popularity
        wanted = tf.concat([labels, drawn, *([] if also is None else [also])], axis=0)
        items = _padded_distinct(wanted, self.num_items) if static_shapes else _distinct(wanted)
        real = items >= 0
        times, expected = tf.gather(times, tf.maximum(items, 0)), tf.gather(expected, tf.maximum(items, 0))
        usable = (times > 0) & (expected > 0) & real
        weights = tf.math.log(tf.where(usable, times / tf.where(usable, expected, 1.0), 0.0))
        return Candidates(items, weights)

    def _random(self, step: tf.Tensor | int) -> tf.Tensor:
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        points = tf.random.stateless_uniform([self.size], seed)
        return tf.searchsorted(self._cumulative, points, side="right")


def step_candidates(
    sampler: CandidateSampler,
    inputs: dict[str, tf.Tensor],
    labels: tf.Tensor,
    step: tf.Tensor | int,
    static_shapes: bool = False,
) -> Candidates:
    """What a step has to have at hand: the labels, the histories, and what the sampler draws."""
    names = [schema.HISTORY_ITEMS, schema.RECORDED_ITEMS, *(view_name(i, schema.HISTORY_ITEMS) for i in range(VIEWS))]
    read = [tf.reshape(inputs[name], [-1]) for name in names if name in inputs]
    return sampler.draw(tf.reshape(labels, [-1]), step, tf.concat(read, axis=0), static_shapes)


def _times(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """How often each item of the catalogue is among int32 `[n]`, float32 `[num_items]`; −1 is none."""
    return tf.math.unsorted_segment_sum(tf.ones_like(items, tf.float32), items, num_items)


def _distinct(items: tf.Tensor) -> tf.Tensor:
    """The items of int32 `[n]` without −1 and repetitions, in the order of their first places."""
    return tf.unique(tf.boolean_mask(items, items >= 0))[0]


def _padded_distinct(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """The same in rising order, int32 `[min(n, num_items)]` with −1 at the end."""
    there = _times(items, num_items) > 0
    place = tf.cumsum(tf.cast(there, tf.int32)) - 1
    padding = tf.fill([tf.minimum(tf.size(items), num_items)], -1)
    item = tf.where(there, tf.range(num_items), -1)
    return tf.tensor_scatter_nd_max(padding, tf.where(there, place, 0)[:, None], item)


def sampled_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the labels under a softmax whose denominator is estimated from the candidates.

    A label counts as itself, once, whether it was drawn or not: a candidate that happens to be the label (an
    accidental hit) is no negative. With every weight 0 this is the plain cross-entropy.

    Args:
        logits: float32 `[n, m]`, one column a candidate, not corrected.
        labels: int32 `[n]`, the column of what is to be predicted.
        log_weights: float32 `[m]`, `Candidates.log_weights`.

    Returns:
        float32 `[n]`; 0 where there is no other candidate.

    Example:
        >>> logits = tf.math.log([[1.0, 2.0, 5.0]])
        >>> halves = tf.math.log([1.0, 0.5, 0.0])  # the second was drawn twice as often, the third not at all
        >>> np.exp(-sampled_cross_entropy(logits, tf.constant([0]), halves))
        array([0.5], dtype=float32)
    """
    wanted = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    corrected = tf.where(wanted, logits, logits + log_weights)
    losses: tf.Tensor = softmax_loss(corrected, labels)
    return losses
