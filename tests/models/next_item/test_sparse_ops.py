"""Values at a few columns of each row, against loops in NumPy."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models.next_item.sparse_ops import bincount_scatter_sum, scatter_sum

WIDTH = 5
INDICES = np.array([[0, 4, 0, -1], [-1, -1, -1, -1], [3, 3, 3, 1]], np.int32)
VALUES = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def dense():
    found = np.zeros((3, WIDTH), np.float32)
    for row, (columns, values) in enumerate(zip(INDICES, VALUES, strict=True)):
        for column, value in zip(columns, values, strict=True):
            if column >= 0:
                found[row, column] += value
    return found


@pytest.mark.parametrize(
    "of",
    [lambda: scatter_sum(INDICES, VALUES, [3, WIDTH]), lambda: bincount_scatter_sum(INDICES, VALUES, WIDTH)],
    ids=["all", "step"],
)
def test_values_of_one_column_add_up_and_those_at_no_column_are_left_out(of):
    assert_allclose(of(), dense())


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "XLA"])
def test_a_value_has_the_gradient_of_its_cell(compiled):
    upstream = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)

    @tf.function(jit_compile=compiled)
    def of(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            found = bincount_scatter_sum(tf.constant(INDICES), values, tf.constant(WIDTH))
        return found, tape.gradient(found, values, output_gradients=tf.constant(upstream))

    found, gradient = of(tf.constant(VALUES))
    assert_allclose(found, dense())
    expected = [
        [upstream[row, column] if column >= 0 else 0 for column in columns] for row, columns in enumerate(INDICES)
    ]
    assert_allclose(gradient, expected)
