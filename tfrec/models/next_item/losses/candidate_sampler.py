"""Sampled softmax: draws the candidates of a training step, with weights that make their loss right on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.losses.contrastive import VIEWS, view_name
from tfrec.models.next_item.losses.softmax_loss import softmax_loss

if TYPE_CHECKING:
    from tfrec.models.next_item.losses.domain_sampler import DomainSampler

SOURCES = ("uniform", "popularity", "in-batch", "mixed")


class Candidates(NamedTuple):
    """The items that a training step scores.

    Attributes:
        items: int32 `[m]`, distinct item indices; −1 is padding.
        log_weights: float32 `[m]`, log of the number of catalogue items that each one represents in the denominator;
            −inf for an item that was not drawn, but is needed as a label or in a history.
    """

    items: tf.Tensor
    log_weights: tf.Tensor


class CandidateSampler:
    """Draws the candidates of a step, with weights by which they estimate the softmax denominator without bias.

    If item j is drawn k_j times and c_j times are expected, the expectation of the sum of `k_j / c_j · exp(s_j)` is the
    denominator over the whole catalogue. This is the log-Q correction (Bengio & Senécal 2008; Yi et al. 2019,
    https://doi.org/10.1145/3298689.3346996): items that are drawn more often count less. With two sources, c_j is the
    sum of both expectations (the balance heuristic of Veach & Guibas 1995), so mixing needs no further weights.

    Args:
        source: str. "uniform" and "popularity" draw `size` items with replacement. "in-batch" uses the other labels of
            the batch, which follow popularity. "mixed" uses these and `size` uniform ones (Yang et al. 2020,
            https://doi.org/10.1145/3366424.3386195).
        counts: int `[num_items]`, how often each item is a label in training. 1 is added, so that every item can be
            drawn.
        size: int. Number of items to draw; unused with "in-batch".
        seed: int.

    Example:
        >>> sampler = CandidateSampler("in-batch", [3, 1, 0, 0])
        >>> candidates = sampler.draw(tf.constant([0, 1, 0]), step=0)
        >>> candidates.items.numpy(), np.exp(candidates.log_weights).round(2)
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
        required: tf.Tensor | None = None,
        static_shapes: bool = False,
    ) -> Candidates:
        """The candidates of a step. They depend only on the arguments and the seed.

        Args:
            labels: int32 `[n]`, the labels of the step, which are all candidates; −1 is padding.
            step: int scalar. Number of the step.
            required: int32 `[k]`, further items that must be candidates, drawn or not; −1 is padding.
            static_shapes: bool. Whether the number of candidates depends on n and k alone; it is then the largest
                possible one, with padding.
        """
        in_batch = self.source in ("in-batch", "mixed")
        drawn = self._draw_items(step)
        needed = tf.concat([labels, drawn, *([] if required is None else [required])], axis=0)
        counting = tf.concat([labels, drawn] if in_batch else [drawn], axis=0)
        if static_shapes:
            items = _padded_distinct(needed, self.num_items)
            counts = tf.gather(_counts(counting, self.num_items), tf.maximum(items, 0))
        else:
            items, counts = _distinct(needed, counting)
        real, rows = items >= 0, tf.maximum(items, 0)
        expected = self.size * tf.gather(self._drawn, rows)
        if in_batch:
            others = tf.reduce_sum(tf.cast(labels >= 0, tf.float32)) - 1  # a label is no negative of its own position
            expected += tf.maximum(others, 0.0) * tf.gather(self._popularity, rows)
        usable = (counts > 0) & (expected > 0) & real
        weights = tf.math.log(tf.where(usable, counts / tf.where(usable, expected, 1.0), 0.0))
        return Candidates(items, weights)

    def _draw_items(self, step: tf.Tensor | int) -> tf.Tensor:
        """`size` items, drawn with replacement: int32 `[size]`."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        points = tf.random.stateless_uniform([self.size], seed)
        return tf.searchsorted(self._cumulative, points, side="right")


def expected_candidates(counts: np.ndarray, labels: float, sample: int) -> float:
    """How many distinct candidates a step of the source "mixed" is expected to score.

    Args:
        counts: int `[num_items]`, how often each item is a label in training.
        labels: float. Labels of a step.
        sample: int. Items drawn uniformly.

    Example:
        >>> round(expected_candidates(np.array([3, 1]), labels=2, sample=0), 3)  # 2 − (1/4)² − (3/4)²
        1.375
    """
    shares = counts / max(counts.sum(), 1)
    return float((1 - (1 - shares) ** labels * (1 - 1 / len(counts)) ** sample).sum())


def step_candidates(
    sampler: CandidateSampler | DomainSampler,
    inputs: dict[str, tf.Tensor],
    labels: tf.Tensor,
    step: tf.Tensor | int,
    static_shapes: bool = False,
) -> Candidates:
    """The candidates of a training step: its labels, the items of its histories, and those that the sampler draws.

    Args:
        sampler: Draws the negatives.
        inputs: Inputs of the model, with augmented and contrastive ones if there are any.
        labels: int32 `[batch, length]`, −1 at positions without a label.
        step: int scalar. Number of the step.
        static_shapes: bool. As for `CandidateSampler.draw`.
    """
    names = [schema.HISTORY_ITEMS, schema.RECORDED_ITEMS, *(view_name(i, schema.HISTORY_ITEMS) for i in range(VIEWS))]
    read = [tf.reshape(inputs[name], [-1]) for name in names if name in inputs]
    return sampler.draw(tf.reshape(labels, [-1]), step, tf.concat(read, axis=0), static_shapes)


def _counts(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """How often each item of the catalogue is among `items`, int32 `[n]`: float32 `[num_items]`; −1 is ignored."""
    return tf.math.unsorted_segment_sum(tf.ones_like(items, tf.float32), items, num_items)


def _distinct(items: tf.Tensor, counting: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct items of int32 `[n]` without −1, in the order in which they first occur, and how often each is in
    `counting`, items of them: int32 and float32 `[m]`. Nothing here is of the size of the catalogue."""
    counting = tf.boolean_mask(counting, counting >= 0)
    together = tf.concat([tf.boolean_mask(items, items >= 0), counting], axis=0)
    distinct, place = tf.unique(together)
    counted = place[tf.size(together) - tf.size(counting) :]
    return distinct, tf.math.unsorted_segment_sum(tf.ones_like(counted, tf.float32), counted, tf.size(distinct))


def _padded_distinct(items: tf.Tensor, num_items: int) -> tf.Tensor:
    """The distinct items in ascending order, with −1 as padding at the end: int32 `[min(n, num_items)]`."""
    occurs = _counts(items, num_items) > 0
    position = tf.cumsum(tf.cast(occurs, tf.int32)) - 1
    padding = tf.fill([tf.minimum(tf.size(items), num_items)], -1)
    item = tf.where(occurs, tf.range(num_items), -1)
    return tf.tensor_scatter_nd_max(padding, tf.where(occurs, position, 0)[:, None], item)


def sampled_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the labels under a softmax whose denominator is estimated from the candidates.

    The label itself always has weight 1, whether it was drawn or not, so a drawn candidate that equals the label (an
    accidental hit) is no negative. With all log weights 0 this is the plain cross-entropy.

    Args:
        logits: float32 `[n, m]`, one column a candidate, without log-Q correction.
        labels: int32 `[n]`, the column of each row's label.
        log_weights: float32 `[m]`, `Candidates.log_weights`.

    Returns:
        float32 `[n]`; 0 for a row without negatives.

    Example:
        >>> logits = tf.math.log([[1.0, 2.0, 5.0]])
        >>> halves = tf.math.log([1.0, 0.5, 0.0])  # the second was drawn twice as often, the third not at all
        >>> np.exp(-sampled_cross_entropy(logits, tf.constant([0]), halves))
        array([0.5], dtype=float32)
    """
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    corrected = tf.where(is_label, logits, logits + log_weights)
    losses: tf.Tensor = softmax_loss(corrected, labels)
    return losses
