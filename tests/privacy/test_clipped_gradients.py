"""Clipped sums, against a loop over examples."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf

from tfrec.privacy.clipped_gradients import CHUNK, clipped_sum, norms_of
from tfrec.privacy.person_gradients import Explicit, Products

CLIP = 2.0


def summed(wide, narrow):
    """The clipped sum of gradients that are given, of two variables."""
    examples = {"wide": tf.constant(wide, tf.float32), "narrow": tf.constant(narrow, tf.float32)}
    shapes = [tf.TensorShape(wide.shape[1:]), tf.TensorShape(narrow.shape[1:])]
    total = clipped_sum(lambda chunk: [Explicit(chunk["wide"]), Explicit(chunk["narrow"])], examples, shapes, CLIP)
    return [part.numpy() for part in total]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def gradients(rng):
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


def products(rng, length=6, people=CHUNK):
    """Inputs and gradients by outputs of a matrix, `[people, length, 3]` and `[people, length, 4]`."""
    scale = rng.uniform(0, 1, (people, 1, 1))
    return scale * rng.normal(size=(people, length, 3)), rng.normal(size=(people, length, 4))


def summed_products(inputs, by_outputs):
    examples = tf.constant(inputs, tf.float32), tf.constant(by_outputs, tf.float32)
    return clipped_sum(lambda chunk: [Products(*chunk)], examples, [tf.TensorShape([3, 4])], CLIP)[0].numpy()


def test_outer_products_are_clipped_as_the_matrices_that_they_add_up_to(rng):
    inputs, by_outputs = products(rng)
    each = np.einsum("pti,pto->pio", inputs, by_outputs)
    norms = np.sqrt((each**2).sum(axis=(1, 2)))
    gradient = Products(tf.constant(inputs, tf.float32), tf.constant(by_outputs, tf.float32))
    np.testing.assert_allclose(norms_of([gradient]), norms, rtol=1e-5)
    assert 0 < (norms > CLIP).sum() < CHUNK
    wanted = (np.minimum(1, CLIP / norms)[:, None, None] * each).sum(axis=0)
    np.testing.assert_allclose(summed_products(inputs, by_outputs), wanted, atol=1e-3)


@pytest.mark.parametrize("spoilt", [1e30, np.inf, np.nan])
@pytest.mark.parametrize("which", [0, 1])
def test_no_history_changes_the_sum_of_outer_products_by_more_than_the_clip_norm(rng, which, spoilt):
    parts = products(rng)
    without = [part.copy() for part in parts]
    without[0][5], without[1][5] = 0, 0
    parts[which][5, 1, 2] = spoilt
    difference = summed_products(*parts) - summed_products(*without)
    assert np.linalg.norm(difference.astype(np.float64)) <= CLIP * (1 + 1e-5)


def test_where_positions_cancel_out_the_norm_is_not_taken_for_smaller_than_it_is(rng):
    inputs, by_outputs = products(rng, people=1)
    inputs, by_outputs = (np.repeat(part, 2, axis=1).astype(np.float32) for part in (1e3 * inputs, by_outputs))
    by_outputs[:, ::2] *= -1 + 1e-6  # what is left is a millionth
    exact = np.einsum("ti,to->io", inputs[0].astype(np.float64), by_outputs[0].astype(np.float64))
    gradient = Products(tf.constant(inputs), tf.constant(by_outputs))
    assert (gradient.squares() + gradient.rounding()).numpy()[0] >= (exact**2).sum()


def test_norms_are_over_all_variables():
    norms = norms_of([Explicit(tf.constant([[[3.0]], [[0.0]]])), Explicit(tf.constant([4.0, 2.0]))])
    np.testing.assert_allclose(norms, [5.0, 2.0])
