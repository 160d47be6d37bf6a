"""A loss in parts against the same loss in one piece."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models.next_item.losses.chunked_sum import chunked_sum

ROWS = 7


def part(states, factors, labels, table, unread):
    """A sum that the rows of two floating tensors and a shared table decide; rows of −1 don't count."""
    scores = tf.einsum("rld,nd->rln", states, table) * factors[:, None, None]
    chosen = tf.one_hot(labels, 3)[:, None, :]  # nothing at −1
    return tf.reduce_sum(tf.sin(scores) * chosen)


def given():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(ROWS, 2, 4)), rng.normal(size=ROWS)]
    shared = [rng.normal(size=(3, 4)), np.zeros(2)]
    labels = tf.constant(rng.integers(0, 3, ROWS), tf.int32)
    return [*(tf.constant(row, tf.float32) for row in rows), labels], [tf.constant(one, tf.float32) for one in shared]


@pytest.mark.parametrize("equal_chunks", [False, True], ids=["the last is shorter", "filled up"])
@pytest.mark.parametrize("chunk", [1, 3, ROWS, 20])
def test_parts_add_up_to_the_whole_and_to_its_gradients(chunk, equal_chunks):
    rows, shared = given()
    watched = [*rows[:2], *shared]
    found = []
    for whole in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(watched)
            value = part(*rows, *shared) if whole else chunked_sum(part, rows, shared, tf.constant(chunk), equal_chunks)
            loss = 3 * value
        gradients = tape.gradient(loss, watched, unconnected_gradients="zero")
        found.append([loss, *gradients])
    for one, other in zip(*found, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        assert one.shape == other.shape
