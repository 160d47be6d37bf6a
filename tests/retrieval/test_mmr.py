"""Maximal marginal relevance against a plain loop."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.errors import InvalidInput
from tfrec.retrieval import TopK, TopKResult, diversify


def by_hand(scores, vectors, count, k, strength):
    """Positions in the pool, in the order of picking."""
    scores = scores[:count]
    spread = scores.max() - scores.min()
    relevance = (scores - scores.min()) / spread if spread else np.zeros(count)
    picked = []
    while len(picked) < min(k, count):
        best, value = None, -np.inf
        for i in range(count):
            if i not in picked:
                worst = max((float(vectors[i] @ vectors[j]) for j in picked), default=-1.0)
                this = (1 - strength) * relevance[i] - strength * worst
                if this > value + 1e-7:
                    best, value = i, this
        picked.append(best)
    return picked


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7, 1.0])
def test_picks_equal_those_of_a_loop(strength):
    rng = np.random.default_rng(4)
    items = rng.normal(size=(40, 5)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    queries = rng.normal(size=(6, 5)).astype(np.float32)
    exclude = tf.constant([[i, i + 1] for i in range(6)])
    found = TopK(20).index(items)(queries, exclude=exclude)
    got = diversify(found, tf.gather(items, found.indices), 8, strength)
    for row in range(6):
        pool = found.indices.numpy()[row]
        order = by_hand(found.scores.numpy()[row], items[pool], 20, 8, strength)
        assert_array_equal(got.indices.numpy()[row], pool[order])
        assert_allclose(got.scores.numpy()[row], found.scores.numpy()[row][order])


def test_strength_0_keeps_the_order_and_a_high_strength_separates_twins():
    found = TopK(4).index([[1.0, 0.0], [0.999, 0.04], [0.0, 1.0], [-1.0, 0.0]])([[1.0, 0.2]])
    vectors = tf.constant([[[1.0, 0.0], [0.999, 0.04], [0.0, 1.0], [-1.0, 0.0]]])
    vectors = tf.gather(vectors, found.indices, axis=1, batch_dims=1)
    assert_array_equal(diversify(found, vectors, 4, 0.0).indices, found.indices)
    first, second = diversify(found, vectors, 2, 0.6).indices.numpy()[0]
    assert first in (0, 1) and second == 3


def test_short_rows_stay_short_and_no_item_is_picked_twice():
    found = TopK(6).index(np.eye(4))([[4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]], exclude=[[1, 2], [0, 0]])
    got = diversify(found, tf.gather(tf.eye(4), tf.maximum(found.indices, 0)), 5, 0.5)
    assert_array_equal(got.count, [2, 3])
    assert_array_equal(got.indices, [[0, 3, -1, -1, -1], [1, 2, 3, -1, -1]])
    assert np.isneginf(got.scores.numpy()[0, 2:]).all()


def test_an_empty_batch_and_rows_without_items():
    none = TopKResult(tf.fill([2, 3], -np.inf), tf.fill([2, 3], -1), tf.zeros([2], tf.int32))
    got = diversify(none, tf.zeros([2, 3, 4]), 2, 0.5)
    assert_array_equal(got.indices, [[-1, -1]] * 2)
    empty = TopKResult(tf.zeros([0, 3]), tf.zeros([0, 3], tf.int32), tf.zeros([0], tf.int32))
    assert diversify(empty, tf.zeros([0, 3, 4]), 2, 0.5).scores.shape == (0, 2)


@pytest.mark.parametrize(("k", "strength"), [(0, 0.5), (4, 0.5), (2, -0.1), (2, 1.1)])
def test_invalid_arguments_are_refused(k, strength):
    found = TopK(3).index(np.eye(3))([[1.0, 2.0, 3.0]])
    with pytest.raises(InvalidInput, match="Expected k in"):
        diversify(found, tf.zeros([1, 3, 3]), k, strength)
