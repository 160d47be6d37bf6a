"""Teachers: what they say is the mean of their own scores, learning it is a cross-entropy, and they do not move."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models import NextItemModel
from tfrec.models.next_item.losses.softmax_loss import taught_softmax_loss
from tfrec.models.next_item.losses.teachers import Teachers
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.training.lazy_adam import LazyAdam

ITEMS = 12


def model_of(seed, neighbours=3):
    """A model with every part that the loss has, without dropout."""
    tf.keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    made = NextItemModel(
        *(ITEMS, 2, 10, 8, 1, 2, 16), dropout=0.0, item_dropout=0.0, neighbours=neighbours, text_neighbours=2
    )
    texts = rng.normal(size=(ITEMS, 10)).astype(np.float32)
    made.items.start_from(texts)
    made.items.ids.assign(rng.normal(size=(ITEMS, 8)))
    made.repeats.assign([-3.0, 1.5, 0.7])
    made.unseen.assign(np.where(np.arange(ITEMS) == 11, -1e9, 0))
    near = rng.integers(0, ITEMS, (ITEMS, 3)).astype(np.int32), rng.integers(5, 9, (ITEMS, 3)).astype(np.float32)
    made.memory.remember(near if neighbours else None, text_neighbours(texts, 2), np.arange(ITEMS))
    return made


@pytest.fixture(scope="module")
def batch():
    items = tf.constant([[3, 1, 4, 1], [5, 9, 2, -1]])
    inputs = {
        "history_items": items,
        "history_events": tf.where(items < 0, -1, items % 2),
        "history_gaps": tf.where(items < 0, 0.0, 1.5),
    }
    return inputs, tf.constant([[1, 4, 1, 5], [9, 2, 6, -1]])


def test_shares_are_the_mean_of_what_each_model_says_of_each_prefix(batch):
    # without co-occurrence neighbours, from whose counts training takes away what the label itself has added
    models, (inputs, labels) = [model_of(1, neighbours=0), model_of(2, neighbours=0)], batch
    teachers = Teachers(models, weight=0.5)
    rows = inputs["history_items"], inputs["history_events"], labels
    shares = teachers.shares(teachers.positions(inputs), *rows).numpy()
    expected = []
    for row, length in ((0, 4), (1, 3)):
        for stop in range(1, length + 1):
            prefix = {name: value[row : row + 1, :stop] for name, value in inputs.items()}
            scores = [(model.scores(prefix) + model.unseen).numpy()[0] for model in models]
            expected.append(np.mean([np.exp(s - s.max()) / np.exp(s - s.max()).sum() for s in scores], axis=0))
    assert_allclose(shares, expected, atol=2e-6)
    assert not shares[:, 11].any()  # which nobody has met


def test_the_loss_and_its_gradient_are_those_of_a_cross_entropy_with_soft_targets():
    rng = np.random.default_rng(0)
    logits, labels = tf.constant(rng.normal(size=(5, 7)), tf.float32), tf.constant([0, 6, 3, 3, 1])
    taught = tf.nn.softmax(tf.constant(rng.normal(size=(5, 7)), tf.float32))
    targets = 0.3 * taught + 0.7 * tf.one_hot(labels, 7)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours = tf.reduce_sum(taught_softmax_loss(logits, labels, taught, tf.constant(0.3)))
        theirs = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
    assert_allclose(ours, theirs, rtol=1e-6)
    assert_allclose(tape.gradient(ours, logits), tape.gradient(theirs, logits), atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_model_has_nothing_to_learn_from_itself_and_something_from_another(batch, jit_compile):
    inputs, labels = batch
    student, teacher, other = model_of(1), model_of(1), model_of(2)
    norms = []
    for model in (teacher, other):
        teachers = Teachers([model], weight=1.0, static_shapes=jit_compile)
        trainer = NextItemTrainer(student, teachers=teachers)
        trainer.compile(LazyAdam(0.0), jit_compile=jit_compile)  # so that it knows whether shapes have to be static
        with tf.GradientTape() as tape:
            loss = trainer.batch_loss(inputs, labels, training=True)
        gradients = tape.gradient(loss, trainer.trainable_variables)
        norms.append(float(tf.linalg.global_norm([tf.convert_to_tensor(each) for each in gradients])))
        assert not set(map(id, model.weights)) & set(map(id, trainer.weights))
    assert norms[0] < 1e-5 < 0.1 < norms[1]


def test_a_trainer_cannot_have_both_teachers_and_a_sampler():
    with pytest.raises(ValueError, match="no sampler beside teachers"):
        NextItemTrainer(model_of(1), sampler=object(), teachers=Teachers([model_of(2)], weight=0.5))
