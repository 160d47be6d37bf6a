"""NextItemModel's loss over candidates, compared with its loss over the catalogue."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models import NextItemModel
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler, step_candidates
from tfrec.models.next_item.losses.next_item_loss import next_item_loss
from tfrec.models.shared.neighbours import text_neighbours

ITEMS = 30


@pytest.fixture(scope="module", params=[True, False], ids=["memory and repeats", "neither"])
def model(request):
    more = {"neighbours": 3, "text_neighbours": 2} if request.param else {"repeat_bias": False}
    made = NextItemModel(num_items=ITEMS, num_event_kinds=2, text_dim=10, dim=8, heads=2, max_history=6, **more)
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(ITEMS, 10)).astype(np.float32)
    made.items.start_from(texts)
    made.unseen.assign(np.where(np.arange(ITEMS) == 25, -1e9, 0))
    if request.param:
        made.repeats.assign([-3.0, 1.5, 0.7])
        near = rng.integers(0, ITEMS, (ITEMS, 3)).astype(np.int32), rng.integers(5, 9, (ITEMS, 3)).astype(np.float32)
        made.memory.remember(near, text_neighbours(texts, 2))
    return made


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    items = rng.integers(1, 12, (5, 4)).astype(np.int32)
    items[:2, 2:] = -1
    labels = np.where(items < 0, -1, rng.integers(1, 12, (5, 4))).astype(np.int32)
    kinds = np.where(items < 0, -1, 0).astype(np.int32)
    inputs = {"history_items": items, "history_events": kinds, "history_gaps": np.zeros((5, 4), np.float32)}
    return {name: tf.constant(value) for name, value in inputs.items()}, tf.constant(labels)


def test_with_every_item_as_candidate_loss_and_gradients_are_those_of_the_catalogue(model, batch):
    order = np.random.default_rng(2).permutation(ITEMS).astype(np.int32)
    every = Candidates(tf.constant(order), tf.zeros([ITEMS]))
    found = []
    for of in ("catalogue", "candidates"):
        with tf.GradientTape() as tape:
            if of == "catalogue":
                loss = next_item_loss(model, *batch, model.history_vectors(), training=False)
            else:
                vectors = tf.gather(model.history_vectors(), order)
                loss = next_item_loss(model, *batch, vectors, every, training=False)
        gradients = tape.gradient(loss, model.trainable_variables)
        found.append([loss, *(tf.convert_to_tensor(each) for each in gradients)])
    for one, other in zip(*found, strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_fewer_candidates_equal_the_catalogue_without_the_other_items(model, batch):
    some = np.array([11, *range(1, 11), 25, 17], np.int32)
    log_weights = np.random.default_rng(3).normal(size=len(some)).astype(np.float32)
    vectors = tf.gather(model.history_vectors(), some)
    found = next_item_loss(
        model, *batch, vectors, Candidates(tf.constant(some), tf.constant(log_weights)), training=False
    )
    every = np.full(ITEMS, -np.inf, np.float32)
    every[some] = log_weights
    whole = Candidates(tf.range(ITEMS), tf.constant(every))
    expected = next_item_loss(model, *batch, model.history_vectors(), whole, training=False)
    assert_allclose(found, expected, rtol=1e-5)
    if model.memory is not None:
        return
    inputs, labels = batch
    positions = model(inputs, training=False).numpy()
    losses = []
    for row, column in zip(*np.nonzero(labels.numpy() >= 0)):
        state = positions[row, column]
        logits = model.item_vectors().numpy()[some] @ (state / np.linalg.norm(state)) / np.exp(model.log_temperature)
        logits[list(some).index(25)] = -np.inf  # training never sees it
        at = list(some).index(labels[row, column])
        others = np.delete(logits + log_weights, at)
        losses.append(np.log(np.exp(others).sum() + np.exp(logits[at])) - logits[at])
    assert_allclose(found, np.mean(losses), rtol=1e-4)


@pytest.mark.parametrize("of", ["catalogue", "candidates"])
def test_dropout_of_the_item_vectors_applies_in_training(batch, of):
    made = NextItemModel(ITEMS, 2, dim=8, heads=2, dropout=0.0, item_dropout=0.5, temperature=0.5, repeat_bias=False)
    made.items.ids.assign(np.random.default_rng(5).normal(size=(ITEMS, 8)))
    inputs, labels = batch
    positions = made(inputs, training=False).numpy().astype(float)
    mask = made.drop_items(tf.ones([ITEMS, 8]), training=True).numpy()
    assert set(mask.ravel()) == {0.0, 2.0}
    losses = []
    for row, column in zip(*np.nonzero(labels.numpy() >= 0)):
        state = positions[row, column] / np.linalg.norm(positions[row, column]) / 0.5
        scores = (made.item_vectors().numpy() * mask) @ state
        losses.append(np.log(np.exp(scores).sum()) - scores[labels[row, column]])
    made.drop_items.calls.assign(0)  # so that the same are left out again
    if of == "catalogue":
        found = next_item_loss(made, inputs, labels, made.history_vectors(), training=True)
    else:
        every = Candidates(tf.range(ITEMS), tf.zeros([ITEMS]))
        found = next_item_loss(made, inputs, labels, made.history_vectors(), every, training=True)
    assert_allclose(found, np.mean(losses), rtol=1e-4)


def test_a_batch_without_labels_has_loss_zero(model, batch):
    inputs, labels = batch
    candidates = step_candidates(CandidateSampler("uniform", np.ones(ITEMS), 4), inputs, tf.fill(labels.shape, -1), 0)
    vectors = tf.gather(model.history_vectors(), candidates.items)
    assert next_item_loss(model, inputs, tf.fill(labels.shape, -1), vectors, candidates) == 0.0


def test_labels_histories_and_sampled_items_are_all_candidates(batch):
    inputs, labels = batch
    found = step_candidates(CandidateSampler("mixed", np.ones(ITEMS), 8), inputs, labels, 0).items.numpy()
    needed = set(inputs["history_items"].numpy().ravel()) | set(labels.numpy().ravel())
    assert needed - {-1} < set(found) and len(set(found)) == len(found) and found.min() >= 0
