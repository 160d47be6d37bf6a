"""The softmax loss against TensorFlow's own and against arithmetic in double precision."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models.next_item.losses.softmax_loss import softmax_loss

UPSTREAM = np.array([1.0, -2.0, 0.5, 0.0], np.float32)


def loss_and_gradient(of, logits, wanted):
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = of(logits, tf.constant(wanted))
    return losses.numpy(), tape.gradient(losses, logits, output_gradients=tf.constant(UPSTREAM)).numpy()


@pytest.mark.parametrize("scale", [1.0, 30.0, 200.0], ids=["near", "apart", "beyond the range of a share"])
def test_loss_and_gradient_are_those_of_the_softmax(scale):
    rng = np.random.default_rng(0)
    logits = (scale * rng.normal(size=(4, 7))).astype(np.float32)
    logits[1, 3], logits[2, 5] = -1e9, -np.inf  # an item that training never sees, a candidate that was not drawn
    wanted = np.array([0, 6, 2, 1], np.int32)
    losses, gradient = loss_and_gradient(softmax_loss, logits, wanted)

    exact = logits.astype(np.float64)
    highest = exact.max(axis=1, keepdims=True)
    powers = np.exp(exact - highest)
    totals = powers.sum(axis=1, keepdims=True)
    assert_allclose(losses, (highest + np.log(totals))[:, 0] - exact[range(4), wanted], rtol=1e-6, atol=1e-5)
    assert_allclose(gradient, UPSTREAM[:, None] * (powers / totals - np.eye(7)[wanted]), rtol=1e-5, atol=1e-6)

    plain, slope = loss_and_gradient(
        lambda given, of: tf.nn.sparse_softmax_cross_entropy_with_logits(of, given), logits, wanted
    )
    assert_allclose(losses, plain, rtol=1e-6, atol=1e-5)
    assert_allclose(gradient, slope, rtol=1e-5, atol=1e-6)


def test_a_logit_that_is_no_number_shows_in_the_loss():
    losses, _ = loss_and_gradient(softmax_loss, [[0.0, np.nan]] + [[0.0, 1.0]] * 3, [0, 0, 0, 0])
    assert np.isnan(losses[0]) and np.isfinite(losses[1:]).all()
