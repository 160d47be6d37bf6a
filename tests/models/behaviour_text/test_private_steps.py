"""A private step of the softmax head: the gradient of each person, its clip, and the texts that people bring."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.models.behaviour_text.test_fit import log
from tfrec.models.behaviour_text.heads import BEHAVIOUR, NAMED, softmax_head
from tfrec.models.behaviour_text.per_person_gradients import SoftmaxHeadGradients
from tfrec.models.behaviour_text.private_batches import PersonTexts, PrivateBatches
from tfrec.models.behaviour_text.private_starts import _pass_through
from tfrec.models.shared.history_statistics import NEVER
from tfrec.privacy.clipped_gradients import CHUNK, norms_of
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.private_trainer import LABELS, PrivateTrainer

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))
ITEMS, DIM, TEXTS = 9, 6, 3


def head(never=False, units=(8,)):
    """A head of which every weight is drawn at random, and two items share a name."""
    names = np.array([0, 1, 2, 3, 4, 5, 6, 6, -1])
    mlp = softmax_head(DIM, names, 7, 2, units, 0.0, 0, "float32")
    rng = np.random.default_rng(0)
    for weight in mlp.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    mlp.get_layer("named_bias").bias.assign([NEVER, NEVER] if never else [0.7, -0.4])
    return mlp


def people():
    """A chunk of people with up to three texts each; the last two have none."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 6, (CHUNK, TEXTS)).astype(np.int32)
    labels[rng.random(labels.shape) < 0.3] = -1
    labels[0], labels[-2:] = [1, 5, 2], -1
    named = rng.integers(-1, 7, (CHUNK, TEXTS, 4)).astype(np.int32)
    named[np.isin(named, [1, 2, 3, 4, 5]) & (named == labels[..., None])] = 6
    return {BEHAVIOUR: rng.normal(size=(CHUNK, TEXTS, DIM)).astype(np.float32), NAMED: named, LABELS: labels}


@pytest.mark.parametrize("never, units", [(False, (8, 5)), (True, (8,))])
def test_gradients_of_each_person_are_those_of_a_tape_a_person(never, units):
    mlp, chunk = head(never, units), people()
    by_person = SoftmaxHeadGradients(mlp)
    trained = {variable.name.partition("/")[0] for variable in by_person.variables}
    hidden = {f"hidden_{i}" for i in range(len(units))}
    assert trained == {"behaviour_norm", "query", *hidden} | (set() if never else {"named_bias"})
    found = by_person.of_chunk(by_person.shared_values(), {name: tf.constant(value) for name, value in chunk.items()})
    norms = norms_of(found).numpy()
    for person in (0, 4, CHUNK - 1):
        real = np.flatnonzero(chunk[LABELS][person] >= 0)
        with tf.GradientTape() as tape:
            inputs = {name: tf.constant(chunk[name][person, real]) for name in (BEHAVIOUR, NAMED)}
            own = tf.gather(mlp(inputs, training=True), chunk[LABELS][person, real], axis=1, batch_dims=1)
            loss = (
                -tf.reduce_mean(tf.math.log(own)) if len(real) else 0.0 * tf.reduce_sum(mlp.get_layer("query").kernel)
            )
        expected = tape.gradient(loss, by_person.variables, unconnected_gradients="zero")
        assert norms[person] == pytest.approx(float(tf.linalg.global_norm(expected)), rel=1e-5)
        for one, wanted in zip(found, expected, strict=True):
            alone = one.weighted_sum(tf.one_hot(person, CHUNK))
            assert_allclose(alone, wanted, atol=1e-5 * max(1.0, norms[person]))
    assert norms[0] > 0 and norms[-1] == 0


def test_without_a_person_the_sum_lacks_their_clipped_gradient_alone():
    mlp, chunk, clip = head(), people(), 0.2
    trainer = PrivateTrainer(mlp, SoftmaxHeadGradients(mlp), clip=clip, multiplier=1.0, batch=4, source=SOURCE)

    def sums(kept):
        labels = np.where(kept[:, None], chunk[LABELS], -1)
        return trainer.clipped_sums({name: tf.constant(chunk[name]) for name in (BEHAVIOUR, NAMED)}, labels)

    everyone, person = np.ones(CHUNK, bool), np.arange(CHUNK) == 4
    gone = [one - other for one, other in zip(sums(everyone), sums(~person), strict=True)]
    for lost, own in zip(gone, sums(person), strict=True):
        assert_allclose(lost, own, atol=1e-6)
    assert 0.99 * clip < float(tf.linalg.global_norm(gone)) <= clip * (1 + 1e-5)


def test_the_start_passes_on_the_texts_vector_where_items_differ_most():
    """What comes out are the principal directions of the items, as many as half the units, of the vector minus the mean
    of the items."""
    rng = np.random.default_rng(3)
    items, texts = rng.normal(1, 1, (40, DIM)).astype(np.float32), rng.normal(size=(5, DIM)).astype(np.float32)
    mlp = softmax_head(DIM, np.arange(40), 40, 0, (12, 9), 0.0, 0, "float32")  # half of 9 are four directions
    _pass_through(mlp, items)

    def unit(vectors):
        return (vectors - vectors.mean(axis=1, keepdims=True)) / vectors.std(axis=1, keepdims=True)

    centred = unit(items) - unit(items).mean(axis=0)
    _, main = np.linalg.eigh(centred.T @ centred)
    expected = (unit(texts) - unit(items).mean(axis=0)) @ main[:, -4:] @ main[:, -4:].T
    hidden = tf.constant(texts)
    for name in ("behaviour_norm", "hidden_0", "hidden_1", "query"):
        hidden = mlp.get_layer(name)(hidden)
    assert_allclose(hidden, expected, atol=2e-2)  # the norm has an epsilon


def test_each_person_brings_some_of_their_texts_with_what_followed():
    histories = log([4, 5, 6, 7], [1], [8, 9], targets=[1, 1, 0, 1, 1, 1, 1])
    texts = PersonTexts.of(histories)
    assert [(person, int(item)) for person, item in zip(texts.people, texts.targets)] == [(0, 5), (0, 7), (2, 9)]
    assert texts.by_person().tolist() == [[0, 1], [2, -1]]
    seen = {tuple(texts.drawn(1, NoiseSource(bytes([key]) * 32)).targets.tolist()) for key in range(12)}
    assert seen == {(5, 9), (7, 9)}
    assert texts.drawn(2, SOURCE).stops.tolist() == texts.stops.tolist()


def test_what_stands_at_padding_is_nobodys():
    """Not even what is not finite."""
    vectors = np.full((3, 2), np.nan, np.float32)
    vectors[2] = 1.0
    by_person, labels = np.array([[0, 1], [2, -1]]), np.array([7, 8, 9], np.int32)
    batches = PrivateBatches(by_person, vectors, np.zeros((3, 1), np.int32), labels, 1.0, SOURCE)
    inputs, found = batches.batch(0)
    assert found.shape == (CHUNK, 2) and found[:2].tolist() == [[7, 8], [9, -1]] and (found[2:] < 0).all()
    assert_array_equal(inputs[BEHAVIOUR][1], [[1, 1], [0, 0]])
    assert (inputs[BEHAVIOUR][2:] == 0).all() and (inputs[NAMED][2:] < 0).all()
    _, nobody = PrivateBatches(by_person, vectors, np.zeros((3, 1), np.int32), labels, 1e-9, SOURCE).batch(0)
    assert nobody.shape == (CHUNK, 2) and (nobody < 0).all()
