"""The layers of ClickRanker, beside loops and arithmetic."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models.click_ranker.layers import (
    Calibration,
    Experts,
    Funnel,
    HistoryPooling,
    Occurrences,
    log_complement,
    logit,
)

RNG = np.random.default_rng(2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def unit(x):
    return x / np.linalg.norm(x)


def test_pooling_weighs_events_by_recency_kind_and_likeness():
    layer = HistoryPooling(3, 2)
    history = RNG.normal(size=(1, 5, 4)).astype(np.float32)
    candidates = RNG.normal(size=(1, 2, 4)).astype(np.float32)
    kinds, real = [1, 0, -1, 1, -1], 4
    mask = tf.constant([[True] * real + [False]])
    args = (tf.constant(history), tf.constant([kinds]), mask, tf.constant(candidates))
    layer(*args)
    recency, kind_weight, kind_vector = RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=(3, 4))
    for weight, value in zip(layer.weights, (recency, kind_weight, kind_vector, 2.5)):
        weight.assign(value)
    user, attended, alike = layer(*args)
    scores = [recency[min(real - 1 - j, 2)] + kind_weight[kinds[j] if kinds[j] >= 0 else 2] for j in range(real)]
    read = [history[0, j] + kind_vector[kinds[j] if kinds[j] >= 0 else 2] for j in range(real)]
    assert_allclose(user[0], softmax(np.array(scores)) @ np.array(read), rtol=1e-4)
    for c in range(2):
        cosine = np.array([unit(candidates[0, c]) @ unit(history[0, j]) for j in range(real)])
        weights = softmax(np.array(scores) + 2.5 * cosine)
        assert_allclose(attended[0, c], weights @ np.array(read), rtol=1e-4)
        assert_allclose(alike[0, c], [cosine.max(), weights @ cosine], rtol=1e-4)


def test_an_empty_history_pools_to_zero():
    found = HistoryPooling(3, 1)(tf.ones([1, 2, 4]), tf.fill([1, 2], -1), tf.fill([1, 2], False), tf.ones([1, 3, 4]))
    for part in found:
        assert_array_equal(part, np.zeros(part.shape))


def test_occurrences_count_each_kind_and_the_last_time():
    history, kinds, candidates = [[4, 6, 4, 4, -1]], [[0, 1, 1, -1, -1]], [[4, 6, 9, -1]]
    found = Occurrences(2)(tf.constant(history), tf.constant(kinds), tf.constant(candidates))
    one = np.log(2)
    expected = [[one, one, one, 1.0], [0, one, 0, 1 / 3], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert_allclose(found[0], expected, rtol=1e-5)


def test_a_deeper_behaviour_is_a_product_of_conditionals():
    logits = RNG.normal(size=(5, 4)).astype(np.float32)
    found = np.exp(Funnel([2, 0, 3])(tf.constant(logits)))
    p = sigmoid(logits)
    assert_allclose(found[:, 2], p[:, 2], rtol=1e-5)
    assert_allclose(found[:, 0], p[:, 2] * p[:, 0], rtol=1e-5)
    assert_allclose(found[:, 3], p[:, 2] * p[:, 0] * p[:, 3], rtol=1e-5)
    assert_allclose(found[:, 1], p[:, 1], rtol=1e-5)


def test_each_head_gates_its_own_experts_and_the_shared_ones():
    layer = Experts(heads=2, units=3, seed=1)
    x = RNG.normal(size=(1, 1, 4)).astype(np.float32)
    layer(tf.constant(x))
    layer.gate.assign(RNG.normal(size=(2, 4, 3)))
    kernel, gate = layer.kernel.numpy(), layer.gate.numpy()
    found = layer(tf.constant(x))[0, 0]
    every = np.array([tf.nn.gelu(x[0, 0] @ kernel[e]) for e in range(4)])
    for head in range(2):
        theirs = every[[head, 2, 3]]  # own expert first, then the two shared ones
        assert_allclose(found[head], softmax(x[0, 0] @ gate[head]) @ theirs, rtol=1e-4)


def test_calibration_scales_logits_and_keeps_the_order_of_the_funnel():
    layer = Calibration([0, 1])
    p = np.array([[[0.4, 0.3, 0.9]]], np.float32)
    assert_allclose(layer(tf.math.log(p)), p, rtol=1e-4)
    layer.slope.assign([2.0, 1.0, 0.5])
    layer.shift.assign([-1.0, 3.0, 0.0])
    raw = np.log(p / (1 - p))
    free = sigmoid(raw * [2.0, 1.0, 0.5] + [-1.0, 3.0, 0.0])[0, 0]
    assert free[1] > free[0]  # else the test would say nothing of the order
    assert_allclose(layer(tf.math.log(p))[0, 0], [free[0], free[0], free[2]], rtol=1e-4)


@pytest.mark.parametrize("p", [1e-30, 1e-6, 0.3, 0.5, 0.7, 1 - 1e-6])
def test_complement_and_logit_are_exact_at_both_ends(p):
    log_p = tf.constant(np.log(p), tf.float32)
    assert_allclose(log_complement(log_p), np.log1p(-p), rtol=0.05 if p > 0.999 else 1e-4)
    assert_allclose(logit(log_p), np.log(p) - np.log1p(-p), rtol=0.05 if p > 0.999 else 1e-4)
    with tf.GradientTape() as tape:
        tape.watch(log_p)
        value = log_complement(log_p)
    assert np.isfinite(tape.gradient(value, log_p))
