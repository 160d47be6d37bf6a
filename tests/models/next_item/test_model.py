"""NextItemModel as a whole."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.data import Histories
from tfrec.models import NextItemModel, NextItemScorer
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.shared.neighbours import text_neighbours


@pytest.fixture(scope="module")
def model():
    made = NextItemModel(
        num_items=30, num_event_kinds=2, text_dim=10, dim=8, heads=2, max_history=6, neighbours=3, text_neighbours=2
    )
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(30, 10)).astype(np.float32)
    made.items.start_from(texts)
    made.repeats.scaled.assign(np.array([-3.0, 1.5, 0.5, 0.25, -0.75], np.float32) / 20)
    near = rng.integers(0, 30, (30, 3)).astype(np.int32), rng.integers(5, 9, (30, 3)).astype(np.float32)
    made.memory.remember(near, text_neighbours(texts, 2))
    return made


def inputs(items):
    """Histories in which events on items 9 and 16 have kind 1."""
    items = np.array(items, np.int32)
    return {
        "history_items": tf.constant(items),
        "history_events": tf.constant(np.where(items < 0, -1, np.isin(items, [9, 16])), tf.int32),
        "history_gaps": tf.zeros(items.shape),
    }


def test_scores_are_dot_products_plus_memory_plus_repeat_bias(model):
    history = inputs([[3, 9, 3, 5]])
    expected = (model.query(history) @ tf.transpose(model.item_vectors())).numpy()[0]
    expected += model.memory.catalogue_scores(history["history_items"])[0].numpy()
    expected[[3, 9]] += [1.5 + 0.5 * np.log(2) + 0.25, 1.5 - 0.75]
    expected[5] += -3.0 + 0.25
    assert_allclose(model.scores(history)[0], expected, atol=1e-4)
    added = np.zeros(30)
    indices, values = model.adjustment(history["history_items"], history["history_events"])
    np.add.at(added, indices[0].numpy(), values[0].numpy())
    cosine = (model.query(history) @ tf.transpose(model.item_vectors())).numpy()[0]
    assert_allclose(cosine + added, expected, atol=1e-4)


def test_the_memory_reads_further_back_than_the_transformer():
    rng = np.random.default_rng(1)
    made = NextItemModel(30, 1, dim=8, heads=2, max_history=3, memory_history=6, neighbours=2)
    made.memory.remember((rng.integers(0, 30, (30, 2)).astype(np.int32), np.full((30, 2), 50, np.float32)), None)
    made.repeats.assign([-3.0, 7.0, 0.0])
    long, newest = inputs([[1, 2, 4, 8, 16]]), inputs([[4, 8, 16]])
    assert_allclose(made.cosines(long), made.cosines(newest), atol=1e-5)
    assert_allclose(made.query(long), made.query(newest), atol=1e-5)
    expected = made.cosines(newest) + made.memory.catalogue_scores(long["history_items"])
    expected = expected.numpy()[0] + 7.0 * np.isin(np.arange(30), [1, 2, 4, 8]) - 3.0 * (np.arange(30) == 16)
    assert_allclose(made.scores(long)[0], expected, atol=1e-4)
    assert np.abs(expected - made.scores(newest)[0]).max() > 6


def test_popular_items_get_a_bias_of_the_log_of_their_counts():
    made = NextItemModel(30, 1, dim=8, heads=2, repeat_bias=False, popular=3)
    counts = np.zeros(30, int)
    counts[[4, 9, 2, 7]] = [40, 10, 5, 5]  # of two that are taken as often, the first is kept
    made.popularity.remember(counts)
    asked = inputs([[1, 2], [6, -1], [-1, -1]])
    before = made.scores(asked).numpy()
    made.popularity.weight.assign(0.5)
    expected = before.copy()
    expected[:, 4] += 0.5 * np.log(40 / 5)
    expected[:, 9] += 0.5 * np.log(10 / 5)
    assert_allclose(made.scores(asked), expected, atol=1e-5)
    indices, values = made.adjustment(asked["history_items"])
    added = np.zeros((3, 30))
    np.add.at(added, (np.arange(3)[:, None], indices.numpy()), values.numpy())
    assert_allclose(before + added, expected, atol=1e-5)
    assert 2 in indices[0].numpy() and 7 not in indices[0].numpy()


def test_padding_on_the_right_changes_nothing(model):
    assert_allclose(model.scores(inputs([[3, 9]])), model.scores(inputs([[3, 9, -1, -1]])), atol=1e-5)


def test_an_empty_history_scores_zero(model):
    assert_array_equal(model.scores(inputs([[-1, -1]])), np.zeros((1, 30)))


def test_the_loss_is_the_mean_cross_entropy_of_each_prefix(model):
    row, labels = [3, 9, 3, 5], [9, 3, 5, 11]
    within = [3, 9, 5, 11]  # the counts of these pairs stay in the memory's way: none, so that nothing is taken out
    near = model.memory.near.numpy()
    model.memory.near.assign(np.where(np.isin(near, within), 0, near))
    losses = []
    for end, label in enumerate(labels, start=1):
        scores = model.scores(inputs([row[:end]]))[0].numpy().astype(float)
        losses.append(np.log(np.exp(scores).sum()) - scores[label])
    found = NextItemTrainer(model).batch_loss(inputs([row]), tf.constant([labels]), training=False)
    assert_allclose(found, np.mean(losses), rtol=1e-4)
    kept = NextItemTrainer(model).batch_loss(inputs([row]), tf.constant([[-1, 3, -1, 11]]), training=False)
    assert_allclose(kept, (losses[1] + losses[3]) / 2, rtol=1e-4)


def test_items_without_a_training_event_are_no_negatives_and_get_no_gradient():
    rng = np.random.default_rng(4)
    made = NextItemModel(12, 1, dim=8, heads=2, temperature=0.5)
    unseen = np.isin(np.arange(12), [2, 7, 11])
    made.unseen.assign(np.where(unseen, -1e9, 0))
    made.items.ids.assign(rng.normal(size=(12, 8)))
    made.repeats.assign([-1.0, 0.5, 0.0])
    history, labels = inputs([[3, 9, 0], [5, 1, -1]]), np.array([[9, 0, 4], [1, 8, -1]])
    history["history_events"] = tf.zeros([2, 3], tf.int32)

    losses = []
    for row, column in zip(*np.nonzero(labels >= 0)):
        prefix = {name: value[row : row + 1, : column + 1] for name, value in history.items()}
        scores = made.scores(prefix)[0].numpy().astype(float)
        losses.append(np.log(np.exp(scores[~unseen]).sum()) - scores[labels[row, column]])
    with tf.GradientTape() as tape:
        loss = NextItemTrainer(made).batch_loss(history, tf.constant(labels, tf.int32), training=False)
    assert_allclose(loss, np.mean(losses), rtol=1e-5)
    moved = np.abs(tf.convert_to_tensor(tape.gradient(loss, made.items.ids))).max(axis=1)
    assert_array_equal(moved == 0, unseen)

    for far, same in (([2, 7, 11], True), ([6], False)):
        made.items.ids.scatter_nd_add(np.array(far)[:, None], rng.normal(size=(len(far), 8)).astype(np.float32))
        again = float(NextItemTrainer(made).batch_loss(history, tf.constant(labels, tf.int32), training=False))
        assert (again == pytest.approx(float(loss), abs=1e-6)) is same


def test_a_batch_without_labels_has_loss_zero(model):
    assert NextItemTrainer(model).batch_loss(inputs([[3, -1]]), tf.constant([[-1, -1]])) == 0.0


def test_a_history_of_vectors_equals_one_of_ids_of_unknown_kind(model):
    history = inputs([[3, 9, -1]])
    history["history_events"] = tf.fill([1, 3], -1)
    vectors = tf.gather(model.history_vectors(), [[3, 9, 0]])
    found = model.query_from_vectors(vectors, tf.constant([[True, True, False]]))
    assert_allclose(found, model.query(history), atol=1e-4)


def test_config_and_weights_can_be_saved_and_loaded(model, tmp_path):
    model.save_weights(str(tmp_path / "model.weights.h5"))
    again = NextItemModel.from_config(model.get_config())
    again.load_weights(str(tmp_path / "model.weights.h5"))
    history = inputs([[3, 9, 3]])
    assert_array_equal(again.scores(history), model.scores(history))


def test_the_loss_and_its_gradients_do_not_depend_on_the_chunk_size(model, monkeypatch):
    rng = np.random.default_rng(3)
    history = inputs(rng.integers(0, 30, (7, 5)))
    labels = tf.constant(rng.integers(-1, 30, (7, 5)), tf.int32)
    found = []
    for at_once in (2**25, 2 * 5 * 30, 1):
        monkeypatch.setattr("tfrec.models.next_item.losses.next_item_loss.LOGITS_AT_ONCE", at_once)
        with tf.GradientTape() as tape:
            loss = NextItemTrainer(model).batch_loss(history, labels, training=False)
        found.append([loss, *tape.gradient(loss, model.trainable_variables)])
    for part in found[1:]:
        for one, other in zip(found[0], part, strict=True):
            assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-4, atol=1e-6)
    assert all(np.abs(tf.convert_to_tensor(gradient)).max() > 0 for gradient in found[0][1:])


def test_scorers_of_a_model_share_one_trace_and_use_the_current_weights(monkeypatch):
    traced, scores = [], NextItemModel.scores
    monkeypatch.setattr(NextItemModel, "scores", lambda *arguments: (traced.append(1), scores(*arguments))[1])
    model = NextItemModel(num_items=5, num_event_kinds=1, dim=8, heads=2, layers=1)
    items, nothing = np.array([3, 1], np.int32), np.zeros(2, np.int16)
    histories = Histories(np.array(["u"]), np.array([0, 2]), items, nothing, nothing, nothing, nothing == 0)
    inputs = {"history_items": [[3, 1]], "history_events": [[0, 0]], "history_gaps": [[0.0, 0.0]]}
    found = []
    for _ in range(2):
        found.append(NextItemScorer(model).scores(histories, np.array([0])))
        assert_allclose(found[-1], scores(model, inputs), atol=1e-5)
        for weight in model.trainable_variables:
            weight.assign_add(tf.random.stateless_normal(weight.shape, [1, 2]))
    assert len(traced) == 1 and np.abs(found[0] - found[1]).max() > 0.01
