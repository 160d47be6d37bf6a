"""A private step: gradients, clipping and noise of each person, and the batches that people are drawn into."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tests.models.next_item.test_trainer import ITEMS, windows_of
from tfrec.keras import keras
from tfrec.models import NextItemModel
from tfrec.models.next_item.per_person_gradients import PerPersonGradients
from tfrec.models.next_item.poisson_batches import PoissonBatches
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.shared.history_statistics import NEVER
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.privacy.clipped_gradients import CHUNK, norms_of
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.private_trainer import LABELS, PrivateTrainer

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


def model_with_every_part(ids=True, block="transformer", layers=1):
    model = NextItemModel(
        *(ITEMS, 2, 10, 8, layers, 2, 16),
        dropout=0.0,
        item_dropout=0.0,
        neighbours=2,
        text_neighbours=2,
        popular=5,
        use_id=ids,
        block=block,
    )
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(ITEMS, 10)).astype(np.float32)
    model.items.start_from(texts)
    if ids:
        model.items.ids.assign(rng.normal(size=(ITEMS, 8)))
    model.repeats.assign([-3.0, 1.5, 0.7])
    near, counts = text_neighbours(rng.normal(size=(ITEMS, 3)), 2)
    taken = rng.integers(1, 9, ITEMS)
    model.memory.remember((near, 5 * counts), text_neighbours(texts, 2), taken)
    model.popularity.remember(taken)
    model.popularity.weight.assign(0.8)
    return model


def test_without_ids_the_public_projection_and_the_items_are_not_trained():
    trained = {variable.name for variable in PerPersonGradients(model_with_every_part(ids=False)).variables}
    assert not [name for name in trained if name.startswith("items/")]
    assert {"repeat_bias/bias:0", "memory/weight:0", "memory/text_weight:0", "log_temperature:0"} < trained
    assert "items/ids:0" in {variable.name for variable in PerPersonGradients(model_with_every_part()).variables}


@pytest.mark.slow
@pytest.mark.parametrize("block, layers", [("transformer", 1), ("gated", 2)])
def test_gradients_of_each_person_are_those_of_a_tape_a_person(block, layers, monkeypatch):
    model = model_with_every_part(block=block, layers=layers)
    people, plain = PerPersonGradients(model), NextItemTrainer(model)
    memory = model.memory  # with bounded counts, nobody's own pairs are taken out
    monkeypatch.setattr(
        memory, "unweighted_scores_at_labels", partial(memory.unweighted_scores_at_labels, without_own=False)
    )
    # the plain loss knows no popularity, but a bias that is as good
    model.unseen.assign(0.8 * model.popularity.catalogue_log_popularity(ITEMS))
    inputs, labels = PoissonBatches(windows_of(), 1.0, SOURCE).batch(0)
    chunk = {name: tf.constant(values[:CHUNK]) for name, values in {**inputs, LABELS: labels}.items()}
    found = people.of_chunk(people.shared_values(), chunk)

    # the weights of these are what is clipped over a rate
    rates = {"repeat_bias/bias:0": 20.0, "items/ids:0": model.items.id_rate}
    norms = norms_of(found).numpy()
    for person in (0, 3, 7, CHUNK - 1):
        labels = chunk[LABELS][person : person + 1]
        own = {name: values[person : person + 1] for name, values in chunk.items() if name != LABELS}
        with tf.GradientTape() as tape:
            loss = plain.batch_loss(own, labels, training=False)
        expected = tape.gradient(loss, people.variables, unconnected_gradients="zero")
        expected = [
            tf.convert_to_tensor(gradient).numpy() / rates.get(variable.name, 1.0)
            for gradient, variable in zip(expected, people.variables, strict=True)
        ]
        norm = np.sqrt(sum((gradient**2).sum() for gradient in expected))
        assert norms[person] == pytest.approx(norm, rel=1e-5)
        alone = [gradient.weighted_sum(tf.one_hot(person, CHUNK)) for gradient in found]
        for one, wanted, variable in zip(alone, expected, people.variables, strict=True):
            np.testing.assert_allclose(one, wanted, atol=1e-5 * max(1, norm), err_msg=variable.name)


def test_where_seen_items_are_never_listed_repeats_are_not_learnt_on():
    model = model_with_every_part()
    model.repeats.start_at(NEVER)
    people, items = PerPersonGradients(model), np.array([[3, 5, 3, 7, -1]] * CHUNK, np.int32)
    labels = np.array([[5, 3, 7, 9, -1]] * CHUNK, np.int32)
    assert not [variable for variable in people.variables if variable.name.startswith("repeat")]
    chunk = {"history_items": tf.constant(items), LABELS: tf.constant(labels)}
    assert people._labels(chunk).numpy()[0].tolist() == [5, -1, 7, 9, -1]


def test_a_step_adds_noise_of_the_ledgers_deviation_and_divides_by_the_average_batch():
    model = model_with_every_part()
    trainer = PrivateTrainer(model, PerPersonGradients(model), clip=0.5, multiplier=3.0, batch=10, source=SOURCE)
    noisy = trainer._noisy_mean(np.full(40_000, 2.0, np.float32), np.int64(4))
    assert noisy.mean() == pytest.approx(2.0 / 10, abs=0.005)
    assert noisy.std() == pytest.approx(0.5 * 3.0 / 10, rel=0.02)
    np.testing.assert_array_equal(noisy, trainer._noisy_mean(np.full(40_000, 2.0, np.float32), np.int64(4)))


def test_everybody_is_in_a_batch_with_the_same_probability_and_adds_one_row():
    windows = windows_of(users=60, longest=60)  # of 16 events: several for some people
    batches = PoissonBatches(windows, 0.3, SOURCE)
    owner = np.searchsorted(windows.histories.offsets, windows.start, side="right") - 1
    assert batches.people == len(set(owner)) < len(windows)
    steps = [batches.rows(step) for step in range(400)]
    for rows in steps:
        assert len(set(owner[rows])) == len(rows)
    shares = np.bincount(np.concatenate([owner[rows] for rows in steps]), minlength=60)[np.unique(owner)] / 400
    assert shares.mean() == pytest.approx(0.3, abs=0.01) and np.abs(shares - 0.3).max() < 0.12
    assert len({len(rows) for rows in steps}) > 5  # a Poisson sample has no fixed size
    assert {row for rows in steps for row in rows} == set(range(len(windows)))
    np.testing.assert_array_equal(steps[7], PoissonBatches(windows, 0.3, SOURCE).rows(7))


def test_batches_are_filled_up_with_rows_without_a_label_and_nobody_is_left_out():
    windows = windows_of()
    batches = PoissonBatches(windows, 0.9, SOURCE)
    inputs, labels = batches.batch(0)
    assert len(labels) % CHUNK == 0 and all(len(values) == len(labels) for values in inputs.values())
    assert ((labels >= 0).any(axis=1)).sum() == len(batches.rows(0))
    _, none = PoissonBatches(windows, 1e-9, SOURCE).batch(0)
    assert len(none) == CHUNK and (none < 0).all()


# Data


def test_trainer_is_a_keras_model_with_the_backbones_weights(tmp_path):
    model = model_with_every_part()
    trainer = PrivateTrainer(model, PerPersonGradients(model), clip=1.0, multiplier=1.0, batch=4, source=SOURCE)
    trainer.save_weights(str(tmp_path / "w.weights.h5"))
    other = model_with_every_part()
    other.load_weights(str(tmp_path / "w.weights.h5"))
    assert isinstance(trainer, keras.Model)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
