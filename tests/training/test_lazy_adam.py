"""The lazy optimiser against Keras' own, and against the formula for rows that come and go."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.keras import keras
from tfrec.training.lazy_adam import LazyAdam

ROWS = 600_000  # of two numbers: a large table
OPTIONS = {"beta_2": 0.98, "clipnorm": 5.0}


def learn(optimizer, table, reads, wanted):
    """A step for each of `reads`: the rows' squared distance to `wanted`."""
    for rows in reads:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((tf.gather(table, rows) - wanted) ** 2)
        optimizer.minimize(loss, [table], tape=tape)


def adam(gradients, rate=0.1, beta_1=0.9, beta_2=0.98):
    """Where one number goes from 0; `gradients` are (step, from its value so far) or None where it is not read."""
    value = mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        if gradient is None:
            continue
        g = gradient(value)
        mean, square = beta_1 * mean + (1 - beta_1) * g, beta_2 * square + (1 - beta_2) * g * g
        value -= rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step) * mean / (square**0.5 + 1e-7)
    return value


def test_rows_read_at_every_step_move_as_with_keras_and_the_others_stay():
    rows = [3, ROWS - 1, 3]  # a row that is read twice has both its gradients
    tables = [tf.Variable(tf.zeros([ROWS, 2])) for _ in range(2)]
    for table, optimizer in zip(tables, (LazyAdam(0.1, **OPTIONS), keras.optimizers.Adam(0.1, **OPTIONS)), strict=True):
        learn(optimizer, table, [rows] * 5, [1.0, -2.0])
    assert_allclose(tables[0], tables[1], rtol=1e-5)
    assert np.flatnonzero(np.abs(tables[0]).sum(axis=1)).tolist() == [3, ROWS - 1]


def test_a_row_rests_while_it_is_not_read():
    table = tf.Variable(tf.zeros([ROWS, 2]))
    learn(LazyAdam(0.1, beta_2=0.98), table, [[5], [6], [6], [5]], [1.0, 1.0])

    def to_one(value):
        return 2 * (value - 1)

    assert table[5, 0].numpy() == pytest.approx(adam([to_one, None, None, to_one]), rel=1e-5)
    assert table[6, 1].numpy() == pytest.approx(adam([None, to_one, to_one, None]), rel=1e-5)


def test_small_tables_and_dense_gradients_are_those_of_keras():
    small = [tf.Variable(tf.zeros([10, 2])) for _ in range(2)]
    dense = [tf.Variable(tf.zeros([ROWS, 2])) for _ in range(2)]
    for number, make in enumerate((LazyAdam, keras.optimizers.Adam)):
        learn(make(0.1), small[number], [[1], [2], [2]], [1.0, 1.0])
        optimizer = make(0.1)
        for _ in range(2):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((dense[number] - 1.0) ** 2)
            optimizer.minimize(loss, [dense[number]], tape=tape)
    assert_allclose(small[0], small[1])
    assert_allclose(dense[0], dense[1])
