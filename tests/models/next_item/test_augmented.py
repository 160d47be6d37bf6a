"""The loss with augmented inputs, contrastive views and shortened texts."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models import NextItemModel
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler, step_candidates
from tfrec.models.next_item.losses.contrastive import contrastive_term, info_nce, view_name
from tfrec.models.next_item.losses.next_item_loss import next_item_loss
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.models.shared.text_dropout import TextVersions

NAMES = ("history_items", "history_events", "history_gaps")


@pytest.fixture
def model():
    made = NextItemModel(20, 2, text_dim=10, dim=8, heads=2, max_history=6, neighbours=3, text_neighbours=2)
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(20, 10)).astype(np.float32)
    made.items.start_from(texts)
    made.items.ids.assign(rng.normal(size=(20, 8)))
    made.repeats.scaled.assign(np.array([-3.0, 1.5, 0.5, 0.25, -0.75], np.float32) / 20)
    near = rng.integers(10, 20, (20, 3)).astype(np.int32), rng.integers(5, 9, (20, 3)).astype(np.float32)
    made.memory.remember(near, text_neighbours(texts, 2))
    return made


def inputs(items, **more):
    items = np.array(items, np.int32)
    kinds = np.where(items < 0, -1, 0).astype(np.int32)
    found = dict(zip(NAMES, (items, kinds, np.zeros(items.shape, np.float32)), strict=True))
    return {name: tf.constant(value) for name, value in {**found, **more}.items()}


def test_the_transformer_reads_augmented_events_and_memory_and_repeats_the_recorded_ones(model):
    recorded, events, labels = [2, 9, 3, 9], [1, 0, 0, 1], [9, 3, 9, 7]
    read = [8, 3, 9]  # 2 read as 8, the first 9 not read
    places = [0, 0, 1, 2]
    losses = []
    for end, (place, label) in enumerate(zip(places, labels, strict=True), start=1):
        scores = model.cosines(inputs([read[: place + 1]]))[0].numpy().astype(float)
        whole = inputs([recorded[:end]])["history_items"]
        scores += model.memory.catalogue_scores(whole)[0].numpy()
        indices, values = model.repeats(whole, tf.constant([events[:end]]))
        np.add.at(scores, indices[0].numpy(), values[0].numpy())
        losses.append(np.log(np.exp(scores).sum()) - scores[label])
    recorded_inputs = {"recorded_items": recorded, "recorded_events": events, "read_positions": places}
    given = inputs([[*read, -1]], **{name: np.array([row], np.int32) for name, row in recorded_inputs.items()})
    found = NextItemTrainer(model).batch_loss(given, tf.constant([labels]), training=False)
    assert_allclose(found, np.mean(losses), rtol=1e-4)

    everything = Candidates(tf.range(20), tf.zeros(20))
    vectors = model.history_vectors()
    assert_allclose(
        next_item_loss(model, given, tf.constant([labels]), vectors, everything, training=False), found, rtol=1e-4
    )
    drawn = step_candidates(CandidateSampler("uniform", np.ones(20), 1), given, tf.constant([labels]), 0)
    assert {2, 3, 7, 8, 9} <= set(drawn.items.numpy().tolist())


def test_info_nce_is_the_cross_entropy_of_the_partner_among_views_of_other_users():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 4, 5))
    users = [0, 1, 1, 2]  # sequences 1 and 2 are of one user
    states = np.concatenate([one, other])
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    losses = []
    for i in range(8):
        partner = (i + 4) % 8
        others = [j for j in range(8) if j == partner or users[j % 4] != users[i % 4]]
        scores = {j: states[i] @ states[j] / 0.3 for j in others}
        losses.append(np.log(sum(np.exp(score) for score in scores.values())) - scores[partner])
    found = info_nce(tf.constant(one), tf.constant(other), tf.constant(users), 0.3)
    assert_allclose(found, np.mean(losses), rtol=1e-6)
    assert info_nce(tf.ones([1, 3]), tf.ones([1, 3]), tf.constant([4])) == 0.0


def views():
    first, second = inputs([[3, 9, -1], [4, -1, -1]]), inputs([[9, -1], [4, 6]])
    second["history_events"] = tf.zeros([2, 2], tf.int32)  # the newest of the first row is masked, and there
    found = {"view_users": tf.constant([0, 1])}
    for number, view in enumerate((first, second)):
        found |= {view_name(number, name): view[name] for name in NAMES}
    return found


def test_the_contrastive_term_compares_the_states_at_the_newest_events(model):
    vectors = np.vstack([model.history_vectors(), np.zeros(8)]).astype(np.float32)  # row −1: no item

    def state(items):
        kinds, gaps = tf.zeros([1, len(items)], tf.int32), tf.zeros([1, len(items)])
        return model.body([tf.constant(vectors[items][None]), kinds, gaps], training=False)[0, -1]

    one = tf.stack([state([3, 9]), state([4])])
    other = tf.stack([state([9, -1]), state([4, 6])])
    expected = info_nce(one, other, tf.constant([0, 1]))
    found = contrastive_term(model, views(), model.history_vectors(), training=False)
    assert_allclose(found, expected, rtol=1e-4)


def test_the_contrastive_loss_is_added_only_in_training(model):
    for layer in (model.drop_items, *model.body.layers):  # no dropout, so that training and not are the same
        for drop in (layer, *getattr(layer, "drops", [])):
            if hasattr(drop, "rate"):
                drop.rate = 0.0
    given, labels = {**inputs([[3, 9], [4, 5]]), **views()}, tf.constant([[9, 1], [5, 2]])
    plain = NextItemTrainer(model).batch_loss(given, labels)
    trainer = NextItemTrainer(model, contrastive=2.0)
    assert_allclose(trainer.batch_loss(given, labels, training=False), plain, rtol=1e-5)
    term = contrastive_term(model, given, model.history_vectors(), training=False)
    assert term > 0.1
    assert_allclose(trainer.batch_loss(given, labels), plain + 2.0 * term, rtol=1e-4)
    order = tf.range(20)[::-1]
    backwards = tf.gather(model.history_vectors(), order)
    assert_allclose(contrastive_term(model, given, backwards, Candidates(order, tf.zeros(20)), False), term, rtol=1e-5)


def test_in_training_half_of_the_items_have_a_shortened_text_drawn_in_every_step(model):
    shortened = np.stack([np.full((20, 10), 1.0), np.full((20, 10), 2.0)]).astype(np.float32)
    shortened += np.arange(20, dtype=np.float32)[:, None] / 100
    versions = TextVersions(shortened, seed=3)
    trainer = NextItemTrainer(model, versions=versions)
    given = {**inputs([[3, 9], [4, 5]])}, tf.constant([[9, 1], [5, 2]])
    assert_array_equal(trainer.batch_loss(*given, training=False), NextItemTrainer(model).batch_loss(*given, False))
    text = model.items.text
    counts = np.zeros(3)
    drawn = []
    for step in range(50):
        found = versions.draw(text, None, step).numpy()
        own = (found == model.items.text.numpy()).all(axis=1)
        which = np.where(own, 0, np.floor(found[:, 0])).astype(int)
        for item in np.flatnonzero(~own):
            assert_array_equal(found[item], shortened[which[item] - 1, item])
        some = tf.constant([7, 2])
        assert_array_equal(versions.draw(tf.gather(text, some), some, step), found[[7, 2]])
        expected = model.items.of_text(tf.constant(found)) + model.items.id_part()
        assert_allclose(model.items.vectors(text=tf.constant(found), training=True), expected, rtol=1e-5)
        counts += np.bincount(which, minlength=3)
        drawn.append(tuple(which))
    assert_allclose(counts / 1000, [0.5, 0.25, 0.25], atol=0.05)  # a standard error of .016
    assert len(set(drawn)) == 50
    assert_array_equal(versions.draw(text, None, 49), found)
