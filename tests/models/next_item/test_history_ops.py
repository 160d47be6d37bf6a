"""Operations on padded histories, compared with loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models.next_item.history_ops import PREFIX_BLOCK, decayed_prefix_sums


def sums_by_loop(values, decay):
    sums = np.zeros_like(values)
    for position in range(values.shape[1]):
        sums[:, position] = values[:, position] + (decay * sums[:, position - 1] if position else 0)
    return sums


@pytest.mark.parametrize("length", [1, PREFIX_BLOCK, PREFIX_BLOCK + 1, 3 * PREFIX_BLOCK, 3 * PREFIX_BLOCK + 7])
@pytest.mark.parametrize("decay", [0.8, 0.99, 1.0])
def test_decayed_sums_are_carried_on_from_block_to_block(length, decay):
    values = np.random.default_rng(length).random((2, length, 3))
    found = decayed_prefix_sums(tf.constant(values, tf.float32), tf.constant(decay))
    assert_allclose(found, sums_by_loop(values, decay), rtol=1e-4)


def test_short_histories_are_summed_by_one_product():
    values = np.random.default_rng(0).random((2, 50, 3)).astype(np.float32)
    age = np.arange(50)[:, None] - np.arange(50)[None, :]
    triangle = np.where(age >= 0, np.float32(0.8) ** np.abs(age), 0).astype(np.float32)
    assert_allclose(decayed_prefix_sums(tf.constant(values), tf.constant(0.8)), triangle @ values, rtol=1e-6)


def test_xla_compiles_decayed_sums():
    values = tf.random.stateless_uniform([2, PREFIX_BLOCK + 6, 3], [1, 2])
    compiled = tf.function(decayed_prefix_sums, jit_compile=True)
    assert_allclose(compiled(values, tf.constant(0.9)), decayed_prefix_sums(values, tf.constant(0.9)), rtol=1e-5)


def test_no_histories_have_no_sums():
    assert_array_equal(decayed_prefix_sums(tf.zeros([0, 5, 3]), tf.constant(0.8)), np.zeros([0, 5, 3]))
