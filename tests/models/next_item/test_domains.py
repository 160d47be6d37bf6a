"""Several domains in one model: which items a step scores, how often a domain is drawn, which items a list has."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.models.next_item.test_windows import histories
from tfrec.models.next_item.domains import domain_of, outside_domain, tempered_counts
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.losses.domain_sampler import DomainSampler
from tfrec.models.next_item.losses.next_item_loss import next_item_loss
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.windows import Windows

SIZES = (4, 3)


@pytest.fixture(scope="module")
def model():
    made = NextItemModel(num_items=7, num_event_kinds=1, text_dim=6, dim=4, heads=1, use_id=False, domains=SIZES)
    made.items.start_from(np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32))
    return made


def batch(items):
    items = tf.constant(items)
    return {"history_items": items, "history_events": tf.zeros_like(items), "history_gaps": tf.zeros(items.shape)}


def test_the_domain_of_an_item():
    assert domain_of(tf.constant([[0, 3], [4, 6], [-1, 4]]), SIZES).numpy().tolist() == [[0, 0], [1, 1], [0, 1]]


def test_scores_stay_within_the_domain_of_the_history(model):
    scores = model.scores(batch([[0, 2, -1], [5, -1, -1], [-1, -1, -1]])).numpy()
    inside = np.array([[True] * 4 + [False] * 3, [False] * 4 + [True] * 3, [True] * 7])
    assert (scores[inside] > -1e3).all() and (scores[~inside] < -1e8).all()


def test_a_model_of_one_domain_scores_them_all(model):
    alone = NextItemModel.from_config({**model.get_config(), "domains": []})
    alone.set_weights(model.get_weights())
    items = [[0, 2, -1], [5, -1, -1]]
    masked, whole = model.scores(batch(items)).numpy(), alone.scores(batch(items)).numpy()
    assert_allclose(whole, np.where(masked < -1e8, whole, masked), rtol=1e-6)
    assert_array_equal(outside_domain(tf.constant([-1]), SIZES).numpy(), np.zeros((1, 7)))


@pytest.mark.parametrize(("first", "size"), [(0, 4), (4, 3)])
def test_the_loss_of_a_batch_is_that_of_a_catalogue_of_its_domain_alone(model, first, size):
    items, labels = np.array([[0, 2, 1], [1, 0, -1]]), np.array([[2, 1, 0], [0, 2, -1]])
    shifted = [np.where(each >= 0, each + first, -1).astype(np.int32) for each in (items, labels)]
    sampler = DomainSampler([None, None], SIZES)
    candidates = sampler.draw(tf.reshape(shifted[1], [-1]), 0, tf.reshape(shifted[0], [-1]))
    vectors = tf.gather(model.items.vectors(), candidates.items)
    loss = next_item_loss(model, batch(shifted[0]), tf.constant(shifted[1]), vectors, candidates, training=False)

    alone = NextItemModel.from_config({**model.get_config(), "num_items": size, "domains": []})
    alone.body.set_weights(model.body.get_weights())
    for name in ("mean", "components", "projection"):
        getattr(alone.items, name).assign(getattr(model.items, name))
    alone.items.text.assign(model.items.text[first : first + size])
    inputs, labels = batch(items.astype(np.int32)), tf.constant(labels.astype(np.int32))
    expected = next_item_loss(alone, inputs, labels, alone.items.vectors(), training=False)
    assert_allclose(loss, expected, rtol=1e-5)


def test_sampled_candidates_are_of_the_domain_too():
    samplers = [CandidateSampler("mixed", np.ones(size), 2) for size in (40, 30)]
    sampler = DomainSampler(samplers, [40, 30])
    for step in range(5):
        drawn = sampler.draw(tf.constant([41, -1, 69]), step, tf.constant([50, -1]))
        own = samplers[1].draw(tf.constant([1, -1, 29]), step, tf.constant([1, -1, 29, 10, -1]))
        assert {41, 50, 69} <= set(drawn.items.numpy().tolist()) <= set(range(40, 70))
        assert_array_equal(drawn.items - 40, own.items)
        assert_allclose(drawn.log_weights, own.log_weights)
    with pytest.raises(ValueError, match="static_shapes=False"):
        sampler.draw(tf.constant([1]), 0, static_shapes=True)


@pytest.mark.parametrize(("temperature", "expected"), [(1, [90, 10]), (2, [75, 25]), (1e6, [50, 50])])
def test_a_higher_temperature_draws_small_domains_more_often(temperature, expected):
    assert tempered_counts([90, 10], temperature) == expected


def test_an_epoch_draws_batches_of_one_domain_each():
    """12 windows over the items 0…23 and 2 over 24…27, two items each."""
    windows = Windows.cut(histories([2] * 14), 5).by_domain([24, 4], temperature=2)
    assert [count for _, count in windows.domains] == [10, 4]
    epoch = list(windows.epoch(3, seed=1, epoch=0))
    assert len(epoch) == windows.steps(3) == 6
    assert all(len(set(rows >= 12)) == 1 for rows in epoch)
    drawn = np.bincount(np.concatenate(epoch), minlength=14)
    assert drawn[:12].sum() == 10 and drawn[:12].max() == 1 and drawn[12:].tolist() == [2, 2]
    again = list(windows.epoch(3, seed=1, epoch=0))
    assert all(np.array_equal(*pair) for pair in zip(epoch, again, strict=True))


def test_a_domain_without_windows_is_never_drawn():
    windows = Windows.cut(histories([2, 2]), 5).by_domain([4, 9], temperature=3)
    assert [count for _, count in windows.domains] == [2, 0]
    assert len(np.concatenate(list(windows.epoch(4, seed=0, epoch=0)))) == 2
