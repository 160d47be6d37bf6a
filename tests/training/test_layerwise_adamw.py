"""A learning rate for every depth."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models.next_item.fit_end_to_end import unfreezing_schedule
from tfrec.training.layerwise_adamw import LayerwiseOptimizer
from tfrec.training.schedules import warm_cosine


def moves(optimizer, variables, gradients, chosen, step=0):
    before = [variable.numpy() for variable in variables]
    optimizer.apply([gradients[i] for i in chosen], [variables[i] for i in chosen], step)
    return [variable.numpy() - old for variable, old in zip(variables, before)]


def test_each_group_moves_at_its_rate_and_who_is_left_out_stays():
    variables = [tf.Variable([1.0]) for _ in range(3)]
    optimizer = LayerwiseOptimizer([[v] for v in variables], lambda step: 0.1 / (1 + step), decay=0.5)
    gradients = [tf.constant([0.1])] * 3
    assert_allclose(moves(optimizer, variables, gradients, [0, 1, 2]), [[-0.025], [-0.05], [-0.1]], rtol=1e-4)
    assert_allclose(moves(optimizer, variables, gradients, [2], step=1), [[0], [0], [-0.05]], rtol=1e-4)
    assert_allclose(moves(optimizer, variables, gradients, [1, 2], step=1), [[0], [-0.025], [-0.05]], rtol=1e-4)


def test_gradients_are_clipped_by_their_common_norm():
    kept = []
    for scale in (1.0, 100.0):
        variables = [tf.Variable([1.0, 1.0]) for _ in range(2)]
        optimizer = LayerwiseOptimizer([[v] for v in variables], lambda step: 0.1, clip=5.0)
        gradients = [tf.constant([3.0, 0.0]) * scale, tf.constant([0.0, 4.0]) * scale]
        moves(optimizer, variables, gradients, [0, 1])
        moves(optimizer, variables, [tf.constant([0.5, 0.5])] * 2, [0, 1])
        kept.append([variable.numpy() for variable in variables])
    assert_allclose(kept[0], kept[1], rtol=1e-5)  # both first gradients were of norm 5


def test_weights_decay_at_the_rate_of_their_group():
    variables = [tf.Variable([1.0]), tf.Variable([1.0])]
    optimizer = LayerwiseOptimizer([[v] for v in variables], lambda step: 0.1, decay=0.5, weight_decay=0.2)
    assert_allclose(moves(optimizer, variables, [tf.constant([0.0])] * 2, [0, 1]), [[-0.01], [-0.02]], rtol=1e-4)


def test_a_sparse_gradient_moves_its_rows_alone():
    table = tf.Variable(np.ones((4, 2), np.float32))
    optimizer = LayerwiseOptimizer([[table]], lambda step: 0.1)
    sparse = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([1, 1]), tf.constant([4, 2]))
    moved = moves(optimizer, [table], [sparse], [0])[0]
    assert (moved[1] < -0.05).all() and not moved[[0, 2, 3]].any()


@pytest.mark.parametrize(("groups", "steps"), [(7, 100), (3, 1), (1, 10)])
def test_layers_thaw_from_the_top_one_at_a_time(groups, steps):
    frozen = [unfreezing_schedule(groups, steps)(step) for step in range(steps + 2)]
    assert frozen[0] == groups - 1 and frozen[-2:] == [0, 0] and frozen == sorted(frozen, reverse=True)
    if steps >= groups:
        assert set(frozen) == set(range(groups))


def test_the_schedule_rises_and_falls():
    rate = warm_cosine(2.0, 10, 30)
    assert_allclose([float(rate(step)) for step in (0, 5, 10, 20, 30)], [0, 1, 2, 1, 0], atol=1e-6)
    assert float(warm_cosine(2.0, 0, 30)(0)) == 2.0
