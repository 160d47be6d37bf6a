"""Domains of a joined catalogue: which one an item is of, and scores that stay within it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

OUTSIDE = -1e9
"""Added to the scores of items of other domains than the history's."""


def domain_of(items: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
    """The domain of each item, int32 of the shape of `items` (int32); 0 for −1.

    Args:
        items: Indices into a catalogue in which the items of a domain follow each other.
        sizes: Number of items of each domain, in catalogue order.

    Example:
        >>> domain_of(tf.constant([0, 2, 3, -1]), sizes=(3, 2)).numpy()
        array([0, 0, 1, 0], dtype=int32)
    """
    ends = tf.constant(np.cumsum(sizes), tf.int32)
    return tf.reshape(tf.searchsorted(ends, tf.reshape(items, [-1]), side="right"), tf.shape(items))


def outside_domain(newest: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
    """`OUTSIDE` at the items of other domains than that of the history's newest item, 0 elsewhere.

    Args:
        newest: int32 `[batch]`, the newest item of each history; −1 for an empty one, which is in every domain.
        sizes: As for `domain_of`.

    Returns:
        float32 `[batch, num_items]`.
    """
    numbers = tf.repeat(tf.range(len(sizes)), tf.constant(list(sizes), tf.int32))
    outside = (domain_of(newest, sizes)[:, None] != numbers[None, :]) & (newest >= 0)[:, None]
    return tf.where(outside, OUTSIDE, 0.0)


def tempered_counts(counts: Sequence[int], temperature: float) -> list[int]:
    """How often each domain is drawn in an epoch: in proportion to `count^(1 / temperature)`, with the same sum.

    Args:
        counts: Sequences of each domain.
        temperature: float of at least 1. 1 draws every sequence once; a higher one draws small domains more often and
            large ones less (as multilingual models mix languages, Devlin et al. 2018, https://arxiv.org/abs/1810.04805).

    Example:
        >>> tempered_counts([900, 100], 1.0), tempered_counts([900, 100], 2.0)
        ([900, 100], [750, 250])
    """
    weights = np.asarray(counts, np.float64) ** (1 / temperature)
    return np.round(weights / weights.sum() * sum(counts)).astype(int).tolist()
