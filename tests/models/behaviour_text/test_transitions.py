"""What followed the named items in training, against loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.data.histories import Histories
from tfrec.models.behaviour_text.transitions import SHARES, Transitions
from tfrec.models.behaviour_text.validation import Validation

NAMES = [0, 1, -1, 1, 2, 3]  # items 1 and 3 share a text, item 2 has none
SEQUENCES = [[0, 4, 1, 5], [4, 0, 2, 3], [5, 4, 5], [1]]
LOGITS = np.random.default_rng(0).normal(size=(1, 6)).astype(np.float32)


def histories():
    items = np.concatenate(SEQUENCES).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in SEQUENCES])])
    zeros = np.zeros(len(items), np.int64)
    return Histories(np.arange(4).astype(object), offsets, items, zeros, zeros, zeros.astype(np.float32), zeros == 0)


def counts():
    """How often a name followed another: 0.8 for each step between them, half of it backwards, more for rare names."""
    followed, frequency = np.zeros((4, 4)), np.zeros(4)
    for sequence in SEQUENCES:
        for x, i in enumerate(sequence):
            if NAMES[i] >= 0:
                frequency[NAMES[i]] += 1
            for y, j in enumerate(sequence):
                if NAMES[i] >= 0 and NAMES[j] >= 0 and NAMES[i] != NAMES[j]:
                    followed[NAMES[i], NAMES[j]] += 0.8 ** (abs(x - y) - 1) * (1 if y > x else 0.5)
    typical = np.exp((frequency * np.log(frequency)).sum() / frequency.sum())
    return followed * (typical / frequency[:, None]) ** 0.6


@pytest.mark.parametrize("named", [[0, 1, 2], [2, -1, 3, -1], [3, 3, -1], [-1, -1], [0] * 60 + [2]])
def test_what_followed_is_blended_in_newest_first(named):
    layer = Transitions(NAMES, 4, k=4, share=0.75).count(histories())
    while named and named[-1] < 0:
        named = named[:-1]
    sums = np.zeros(4)
    for age, name in enumerate(named[::-1]):
        if name >= 0 and age < 50:
            sums += 0.75**age * counts()[name]
    scores = np.array([np.log1p(sums[name]) if name >= 0 else 0 for name in NAMES])
    expected = 0.25 * LOGITS[0] + 0.75 * scores if named else LOGITS[0]
    found = layer([tf.constant(LOGITS), tf.constant([[*named, -1]])])
    assert_allclose(found[0], expected, rtol=1e-5)
    assert_allclose(layer([LOGITS, tf.constant([[*named, -1]])], training=True), LOGITS)


def test_only_the_best_followers_and_events_that_count_are_kept():
    best = np.sort(counts()[0])[-1:]
    layer = Transitions(NAMES, 4, k=1).count(histories())
    assert_allclose(layer.counts[0], best, rtol=1e-6)
    assert not Transitions(NAMES, 4, k=1).count(histories(), np.zeros(12, bool)).counts.numpy().any()


def test_a_catalogue_without_texts_has_no_followers():
    layer = Transitions([-1] * 6, 0).count(histories())
    assert_allclose(layer([LOGITS, tf.constant([[-1]])]), LOGITS)


@pytest.mark.parametrize("monitor, best", [("ndcg@10", 0.5), ("loss", 0.9)])
def test_validation_chooses_the_share(monitor, best):
    layer = Transitions(NAMES, 4)
    layer.build(None)
    validation = Validation.__new__(Validation)
    validation.model = SimpleNamespace(transitions=layer, head_kind="softmax")
    validation.config = SimpleNamespace(training=SimpleNamespace(monitor=monitor))
    validation.queries = [0]

    def metrics():
        share = float(layer.share)
        return {"ndcg@10": -abs(share - 0.5), "loss": abs(share - 0.9), "share": share}

    found = validation._with_best_share(metrics)
    assert best in SHARES and found["share"] == pytest.approx(best) == float(layer.share)
