"""gBCE and BPR, compared with loops over candidates."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import math  # isort: skip

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models.next_item.losses.pairwise import bpr, generalised_bce

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 7)).astype(np.float32) * 3
LABELS = np.array([0, 3, 3, 6, 1])
DRAWN = np.array([True, True, False, True, True, False, True])
LOG_WEIGHTS = np.where(DRAWN, 0.5, -np.inf).astype(np.float32)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_raises_the_positive_to_a_power(calibration):
    found = generalised_bce(tf.constant(LOGITS), tf.constant(LABELS), tf.constant(LOG_WEIGHTS), 41, calibration)
    for row, label in enumerate(LABELS):
        negatives = [c for c in range(7) if DRAWN[c] and c != label]
        alpha = len(negatives) / 40
        beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
        expected = -beta * log_sigmoid(LOGITS[row, label]) - sum(log_sigmoid(-LOGITS[row, c]) for c in negatives)
        assert found[row].numpy() == pytest.approx(expected, rel=1e-5)


def test_bpr_is_the_mean_over_the_negatives():
    found = bpr(tf.constant(LOGITS), tf.constant(LABELS), tf.constant(LOG_WEIGHTS))
    for row, label in enumerate(LABELS):
        negatives = [c for c in range(7) if DRAWN[c] and c != label]
        expected = np.mean([-log_sigmoid(LOGITS[row, label] - LOGITS[row, c]) for c in negatives])
        assert found[row].numpy() == pytest.approx(expected, rel=1e-5)


def test_without_negatives_bpr_is_zero_and_gbce_has_the_positive_alone():
    nothing = tf.fill([7], -np.float32(np.inf))
    assert_allclose(bpr(tf.constant(LOGITS), tf.constant(LABELS), nothing), np.zeros(5))
    found = generalised_bce(tf.constant(LOGITS), tf.constant(LABELS), nothing, 41, calibration=0.0)
    assert_allclose(found, [-log_sigmoid(LOGITS[row, label]) for row, label in enumerate(LABELS)], rtol=1e-5)
