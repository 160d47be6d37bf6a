"""The sampled softmax, compared with the full one."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models.next_item.losses.candidate_sampler import (
    SOURCES,
    CandidateSampler,
    expected_candidates,
    sampled_cross_entropy,
)
from tfrec.models.next_item.sparse_ops import gather_columns, item_columns

COUNTS = np.array([50, 20, 9, 12, 0, 3, 1, 30])
SCORES = np.array([1.0, -2.0, 0.5, 3.0, 0.0, -1.0, 2.0, -0.5])


def denominators(sampler, label):
    """A function of batch and step: what a sample makes of the sum of exp(score), for a row whose label is `label`."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)])
    def of(batch, step):
        items, log_weights = sampler.draw(batch, step)
        logits = tf.gather(tf.constant(SCORES, tf.float32), items)
        place = tf.cast(tf.where(items == label)[0], tf.int32)
        return tf.exp(sampled_cross_entropy(logits[None], place, log_weights)[0] + SCORES[label])

    return of


def test_expected_candidates_are_the_mean_number_of_distinct_labels_and_draws():
    rng = np.random.default_rng(1)
    labels = rng.choice(8, (4000, 5), p=COUNTS / COUNTS.sum())
    drawn = rng.integers(0, 8, (4000, 3))
    distinct = [len(set(row)) for row in np.concatenate([labels, drawn], axis=1).tolist()]
    error = np.std(distinct) / np.sqrt(4000)
    assert abs(np.mean(distinct) - expected_candidates(COUNTS, labels=5, sample=3)) < 4 * error
    assert error < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_the_denominator_is_unbiased(source):
    sampler = CandidateSampler(source, COUNTS, size=6, seed=3)
    shares = (COUNTS + 1) / (COUNTS + 1).sum()
    rng = np.random.default_rng(0)
    label = 6
    of = denominators(sampler, label)
    found = [float(of([label, *rng.choice(8, 7, p=shares)], step)) for step in range(1500)]
    # the wrong sign of the correction, or none, is off by a factor here
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - np.exp(SCORES).sum()) < 4 * error
    assert error < 0.1 * np.exp(SCORES).sum()


def test_many_candidates_give_the_loss_of_the_full_softmax():
    sampler = CandidateSampler("popularity", COUNTS, size=300_000)
    expected = np.log(np.exp(SCORES).sum())
    assert_allclose(np.log(denominators(sampler, 1)([1], 0)), expected, atol=0.02)


def test_an_accidental_hit_is_no_negative():
    logits = tf.constant([[2.0, 1.0], [2.0, 1.0]])
    twice = tf.math.log([2.0, 1.0])  # the first item was drawn; the first row wants it, the second does not
    found = sampled_cross_entropy(logits, tf.constant([0, 1]), twice)
    assert_allclose(found, [np.log(1 + np.exp(-1)), np.log(1 + 2 * np.exp(1))], rtol=1e-6)


def test_an_item_that_was_not_drawn_is_a_candidate_without_weight():
    sampler = CandidateSampler("in-batch", COUNTS)
    found = sampler.draw(tf.constant([2]), 0, required=tf.constant([5, 2]))
    assert_array_equal(found.items, [2, 5])
    assert_array_equal(found.log_weights, [-np.inf, -np.inf])
    assert sampled_cross_entropy(tf.constant([[1.0, 9.0]]), tf.constant([0]), found.log_weights)[0] == 0.0


def test_the_gradient_at_a_candidate_without_weight_is_zero_and_no_gradient_is_nan():
    logits = tf.Variable([[1.0, 9.0, 2.0]])
    with tf.GradientTape() as tape:
        loss = sampled_cross_entropy(logits, tf.constant([0]), tf.constant([-np.inf, -np.inf, 0.0]))
    gradient = tape.gradient(loss, logits).numpy()[0]
    assert gradient[1] == 0 and np.isfinite(gradient).all() and gradient[2] > 0


def test_draws_repeat_for_the_same_step_and_differ_between_steps():
    sampler = CandidateSampler("uniform", np.zeros(1000), size=20, seed=1)
    draws = [set(sampler.draw(tf.constant([], tf.int32), step).items.numpy()) for step in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]


def test_every_item_can_be_drawn_and_none_beyond_the_catalogue():
    found = CandidateSampler("uniform", np.zeros(4), size=400).draw(tf.constant([], tf.int32), 0)
    assert sorted(found.items.numpy()) == [0, 1, 2, 3]
    assert_allclose(np.exp(found.log_weights).sum(), 4, rtol=1e-5)


def test_columns_are_the_positions_of_the_items():
    items = tf.constant([4, 0, 2])
    assert_array_equal(item_columns(items, 6), [1, -1, 2, -1, 0, -1])
    assert_array_equal(item_columns(tf.constant([4, -1, 0]), 6), [2, -1, -1, -1, 0, -1])
    assert_array_equal(gather_columns(item_columns(items, 6), tf.constant([[-1, 2], [3, 4]])), [[-1, 2], [-1, 0]])


def test_with_static_shapes_the_candidates_are_the_same_but_padded():
    sampler, labels, also = CandidateSampler("mixed", COUNTS, size=4), [2, -1, 5, 2], [7, -1]
    found = sampler.draw(tf.constant([2, 5, 2]), 3, tf.constant([7]))
    padded = sampler.draw(tf.constant(labels), 3, tf.constant(also), static_shapes=True)
    assert len(padded.items) == 8  # the whole catalogue, which is less than what might be drawn
    few = sampler.draw(tf.constant([2]), 3, static_shapes=True)
    assert len(few.items) == 5  # a label and four draws
    weights = dict(zip(found.items.numpy().tolist(), found.log_weights.numpy().tolist()))
    assert dict(zip(padded.items.numpy().tolist(), padded.log_weights.numpy().tolist())) == {**weights, -1: -np.inf}


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="in-batch"):
        CandidateSampler("hard", COUNTS)
