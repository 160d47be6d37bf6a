"""Clipped sums, against a loop over examples."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf

from tfrec.privacy.clipped_gradients import CHUNK, clipped_sum, norms_of

CLIP = 2.0


def summed(wide, narrow):
    """The clipped sum of gradients that are given, of two variables."""
    examples = {"wide": tf.constant(wide, tf.float32), "narrow": tf.constant(narrow, tf.float32)}
    shapes = [tf.TensorShape(wide.shape[1:]), tf.TensorShape(narrow.shape[1:])]
    total = clipped_sum(lambda chunk: [chunk["wide"], chunk["narrow"]], examples, shapes, CLIP)
    return [part.numpy() for part in total]


@pytest.fixture
def gradients():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0, 1, (2 * CHUNK, 1, 1))
    return scale * rng.normal(size=(2 * CHUNK, 3, 4)), scale[:, 0] * rng.normal(size=(2 * CHUNK, 5))


def test_each_example_adds_its_gradient_scaled_down_to_the_clip_norm(gradients):
    wide, narrow = gradients
    expected, clipped = [np.zeros((3, 4)), np.zeros(5)], 0
    for one, other in zip(wide, narrow):
        norm = np.sqrt((one**2).sum() + (other**2).sum())
        clipped += norm > CLIP
        expected[0] += one * min(1, CLIP / norm)
        expected[1] += other * min(1, CLIP / norm)
    assert 0 < clipped < 2 * CHUNK
    for found, wanted in zip(summed(wide, narrow), expected):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("spoilt", [1e30, np.inf, -np.inf, np.nan])
def test_no_example_changes_the_sum_by_more_than_the_clip_norm(gradients, spoilt):
    wide, narrow = gradients
    without, other = wide.copy(), narrow.copy()
    without[5], other[5] = 0, 0
    wide[5, 1, 2] = spoilt
    difference = [found - wanted for found, wanted in zip(summed(wide, narrow), summed(without, other))]
    assert np.sqrt(sum((part.astype(np.float64) ** 2).sum() for part in difference)) <= CLIP * (1 + 1e-5)


def test_norms_are_over_all_variables():
    norms = norms_of([tf.constant([[[3.0]], [[0.0]]]), tf.constant([4.0, 2.0])])
    np.testing.assert_allclose(norms, [5.0, 2.0])
