"""NextItemTrainer with XLA and without, and training on batches that are padded to fixed shapes."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data import Histories
from tfrec.models import NextItemModel
from tfrec.models.next_item.augmentation import Augmentation
from tfrec.models.next_item.input_pipeline import PADDED_LENGTHS, batches
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.models.shared.text_dropout import TextVersions
from tfrec.training.lazy_adam import LazyAdam

ITEMS = 30
BATCH = 8
LOSSES = {
    "full softmax": {},
    "sampled softmax": {"sampler": "mixed"},
    "gbce": {"sampler": "uniform", "kind": "gbce"},
    "bpr": {"sampler": "popularity", "kind": "bpr"},
    "in-batch": {"sampler": "in-batch"},
    "contrastive": {"contrastive": 0.5},
    "contrastive, sampled": {"sampler": "mixed", "contrastive": 0.5},
    "shortened texts": {"versions": True},
}


EVERY_RUN = ("full softmax", "contrastive, sampled")
"""Steps that are compiled in every run; the others and whole fits are at night."""


def trainer_of(sampler=None, versions=False, jit_compile=False, **more):
    """A trainer whose model has every part, without dropout."""
    model = NextItemModel(
        *(ITEMS, 2, 10, 8, 1, 2, 16), dropout=0.0, item_dropout=0.0, neighbours=3, text_neighbours=2, popular=4
    )
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(ITEMS, 10)).astype(np.float32)
    model.items.start_from(texts)
    model.items.ids.assign(rng.normal(size=(ITEMS, 8)))
    model.repeats.assign([-3.0, 1.5, 0.7])
    model.unseen.assign(np.where(np.arange(ITEMS) == 25, -1e9, 0))
    near = rng.integers(0, ITEMS, (ITEMS, 3)).astype(np.int32), rng.integers(5, 9, (ITEMS, 3)).astype(np.float32)
    model.memory.remember(near, text_neighbours(texts, 2), np.arange(ITEMS))
    drawn = CandidateSampler(sampler, np.arange(ITEMS), 12, seed=1) if sampler else None
    if drawn is not None:  # XLA has random numbers of its own
        places = np.random.default_rng(7).integers(0, ITEMS, 0 if sampler == "in-batch" else 12)
        drawn._draw_items = lambda step: tf.constant(places, tf.int32)
    shorter = TextVersions(rng.normal(size=(2, ITEMS, 10)).astype(np.float32), 5) if versions else None
    trainer = NextItemTrainer(model, drawn, versions=shorter, **more)
    trainer.compile(LazyAdam(0.01, beta_2=0.98, clipnorm=5.0), jit_compile=jit_compile)
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def windows_of(users=19, longest=15):
    rng = np.random.default_rng(4)
    lengths = rng.integers(2, longest, users)
    items = rng.integers(0, 25, lengths.sum()).astype(np.int32)
    kinds = rng.integers(0, 2, len(items)).astype(np.int16)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    nothing = np.zeros(len(items), np.int64)
    histories = Histories(
        np.arange(users).astype(str), offsets, items, kinds, nothing, nothing, rng.random(len(items)) < 0.9
    )
    return Windows.cut(histories, 16)


def given(jit_compile, contrastive=0.1, augmentation=None, epochs=1):
    values = [f"training.contrastive={contrastive}", f"training.jit_compile={str(jit_compile).lower()}"]
    config = RunConfig().with_values([*values, "model.max_history=16"])
    return list(batches(windows_of(), config, BATCH, 0, epochs, augmentation))


def loss_and_gradients(trainer, batch):
    @tf.function(jit_compile=trainer.jit_compile)
    def of(inputs, labels):
        with tf.GradientTape() as tape:
            loss = trainer.batch_loss(inputs, labels)
        gradients = tape.gradient(loss, trainer.trainable_variables, unconnected_gradients="zero")
        return [loss, *map(tf.convert_to_tensor, gradients)]

    return [value.numpy() for value in of(*batch)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EVERY_RUN else pytest.mark.nightly) for name in LOSSES]
)
def test_a_step_compiled_by_xla_has_the_same_loss_and_gradients(name):
    plain, compiled = trainer_of(**LOSSES[name]), trainer_of(**LOSSES[name], jit_compile=True)
    assert compiled.static_shapes and not plain.static_shapes
    # of the batch that is not full; its longest row is padded too
    batch, filled = min(zip(given(False), given(True), strict=True), key=lambda pair: len(pair[0][1]))
    assert len(batch[1]) < BATCH == len(filled[1]) and batch[1].shape[1] < filled[1].shape[1]
    for one, other in zip(loss_and_gradients(plain, batch), loss_and_gradients(compiled, filled), strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("name", ["full softmax", "sampled softmax"])
def test_a_fit_with_xla_learns_the_same(name):
    losses = []
    for jit_compile in (False, True):
        trainer = trainer_of(**LOSSES[name], jit_compile=jit_compile)
        epoch = tf.data.Dataset.from_generator(lambda j=jit_compile: iter(given(j)), output_signature=spec(jit_compile))
        history = trainer.fit(epoch, epochs=2, verbose=0).history["loss"]
        losses.append(history)
    (first, second), (compiled_first, compiled_second) = losses
    assert_allclose(compiled_first, first, rtol=1e-5)
    # Adam moves a weight by the full rate even where its gradient is nothing but rounding, so fits drift apart.
    assert_allclose(compiled_second, second, rtol=1e-2)
    assert second < first


def spec(jit_compile):
    config = RunConfig().with_values(["training.contrastive=0.1", f"training.jit_compile={str(jit_compile).lower()}"])
    return batches(windows_of(), config, BATCH, 0, 1).element_spec


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [None, {"mask": 0.3, "drop": 0.2}], ids=["as it is", "changed"])
def test_batches_padded_to_fixed_shapes_have_the_same_labels(augmentation):
    changed = augmentation and Augmentation(RunConfig().training.augmentation.model_copy(update=augmentation))
    shapes = set()
    for (inputs, labels), (filled, wanted) in zip(
        given(False, augmentation=changed, epochs=3), given(True, augmentation=changed, epochs=3), strict=True
    ):
        rows, columns = labels.shape
        assert_array_equal(wanted[:rows, :columns], labels)
        assert (wanted.numpy() >= 0).sum() == (labels.numpy() >= 0).sum()
        assert set(filled) == set(inputs)
        for key, values in inputs.items():
            cut = filled[key][:rows, : values.shape[1]] if len(values.shape) == 2 else filled[key][:rows]
            assert_array_equal(cut, values)
        events = filled["history_events"].numpy()
        assert (events[rows:] == -1).all() and (events[:, columns:] == -1).all()
        shapes.add(tuple(tuple(value.shape) for value in filled.values()))
    assert len(shapes) <= PADDED_LENGTHS and {shape[0][0] for shape in shapes} == {BATCH}


def test_an_epoch_of_padded_batches_has_each_label_once_and_as_many_steps():
    windows = windows_of()
    epoch = given(True)
    assert len(epoch) == windows.steps(BATCH)
    learnt = np.concatenate([labels.numpy().ravel() for _, labels in epoch])
    expected = []
    for first, stop in zip(windows.start, windows.stop, strict=True):
        expected += [windows.histories.items[i] for i in range(first + 1, stop) if windows.histories.is_target[i]]
    assert sorted(learnt[learnt >= 0]) == sorted(expected)


@pytest.mark.slow
def test_only_the_weights_of_the_model_are_saved(tmp_path):
    trainer = trainer_of()
    names = [weight.name for weight in trainer.backbone.trainable_weights]
    assert [weight.name for weight in trainer.trainable_weights] == names  # the optimizer's order
    trainer.save_weights(str(tmp_path / "model.weights.h5"))
    again = NextItemModel.from_config(trainer.backbone.get_config())
    again.load_weights(str(tmp_path / "model.weights.h5"))
    for one, other in zip(again.get_weights(), trainer.backbone.get_weights(), strict=True):
        assert_array_equal(one, other)


@pytest.mark.slow
def test_predict_returns_the_scores_of_the_catalogue():
    trainer = trainer_of()
    model = trainer.backbone
    rng = np.random.default_rng(2)
    items = rng.integers(0, ITEMS, (7, 20)).astype(np.int32)  # longer than what the transformer reads
    histories = {"history_items": items, "history_events": np.zeros_like(items), "history_gaps": np.zeros((7, 20), "f")}
    expected = model.scores(histories)
    assert_allclose(model.predict(histories, batch_size=3, verbose=0), expected, rtol=1e-5, atol=1e-5)
    assert_allclose(trainer.predict(histories, verbose=0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_loss_with_sampled_negatives_needs_a_sampler():
    with pytest.raises(ValueError, match="sampler for the loss 'bpr'"):
        NextItemTrainer(NextItemModel(5, 1, dim=8, heads=2), kind="bpr")


def test_without_the_memory_in_the_loss_the_network_is_alone_in_it():
    inputs, labels = windows_of().batch(np.arange(2))
    alone, together = trainer_of(memory_in_loss=False), trainer_of()
    found = alone.batch_loss(inputs, labels, training=False)
    assert abs(float(found - together.batch_loss(inputs, labels, training=False))) > 0.01
    together.backbone.memory.assign(weight=0.0, text_weight=0.0)
    assert_allclose(found, together.batch_loss(inputs, labels, training=False), rtol=1e-6)


@pytest.mark.slow
def test_without_the_memory_in_the_loss_a_step_leaves_its_weights_as_they_are():
    trainer = trainer_of(memory_in_loss=False)
    memory, ids = trainer.backbone.memory, trainer.backbone.items.ids
    weights, before = [float(weight) for weight in memory.learned_weights()], ids.numpy()
    trainer.fit(*windows_of().batch(np.arange(2)), verbose=0)
    assert np.abs(ids.numpy() - before).max() > 0
    assert [float(weight) for weight in memory.learned_weights()] == weights
