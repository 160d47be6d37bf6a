"""Training the encoder with the recommender: what a step computes, what a run leaves, resume, refusals."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import shutil  # isort: skip

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.encoders import load_encoder
from tfrec.errors import InvalidInput, TfrecError
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.end_to_end_trainer import EndToEndTrainer
from tfrec.models.next_item.fit_end_to_end import EndToEndFit, build_microbatched_encoder
from tfrec.models.next_item.input_pipeline import batches
from tfrec.runs import Run, evaluate, train
from tfrec.training.callbacks import BestWeights

WORDS = ["red", "green", "blue", "small", "big", "old", "new", "fast"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """24 users who walk round a ring of 10 items: the next item is the one after."""
    rng = np.random.default_rng(5)
    rows = [(f"u{u}", f"i{(u + step) % 10}", "view", step) for u in range(24) for step in range(7)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    texts = [" ".join(rng.choice(WORDS, 1 + i % 4)) for i in range(10)]
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "title": texts})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture(scope="module")
def config(tiny_encoder):
    small = ["model.dim=16", "model.heads=2", "model.layers=1", "training.batch_size=8", "evaluation.bootstrap=0"]
    more = ["model.neighbours=4", "model.text_neighbours=2", "training.epochs=1", "training.encoder_epochs=2"]
    more += ["training.encoder_batch_size=8"]
    return RunConfig().with_values([*small, *more, f"encoder.name={tiny_encoder}", "encoder.trainable=true"])


@pytest.fixture(scope="module")
def tuned(dataset, config, tmp_path_factory):
    """A run whose encoder moved: the frozen start is never the best here, as the first validation is not counted."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BestWeights, "begin_with", lambda self, model, metrics: None)
        faster = ["training.encoder_learning_rate=0.002", "training.encoder_epochs=3"]
        return train(dataset, folder / "run", config.with_values(faster))


@pytest.mark.slow
def test_the_run_has_the_tuned_encoder_and_its_vectors(dataset, tuned, config):
    encoder = Run.load(tuned.path).encoder()
    before = load_encoder(config.encoder.name)
    assert encoder.hash == tuned.manifest["encoder_hash"] != before.hash
    vectors = encoder.encode(dataset.texts)
    assert_allclose(tuned.text_vectors, vectors, atol=1e-6)
    assert_allclose(tuned.model.items.text, vectors, atol=1e-6)
    assert_allclose(tuned.untuned_text_vectors, before.encode(dataset.texts), atol=1e-5)
    assert np.abs(vectors - tuned.untuned_text_vectors).max() > 1e-3


@pytest.mark.slow
def test_the_evaluated_model_is_the_validated_one(dataset, tuned):
    found = evaluate(tuned, dataset, "valid")["ndcg@10"]
    assert_allclose(found, json.loads((tuned.path / "metrics_valid.json").read_text())["ndcg@10"], atol=1e-6)


@pytest.mark.nightly
@pytest.mark.slow
def test_the_export_embeds_with_the_tuned_encoder(dataset, tuned, tmp_path):
    from tfrec.serving import export

    export(tuned, tmp_path / "ring")
    served = tf.saved_model.load(str(tmp_path / "ring" / "1"))
    found = served.signatures["embed"](texts=tf.constant(dataset.texts))["embeddings"]
    assert_allclose(found, tuned.text_vectors, atol=1e-5)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_weights_before_tuning_are_kept_if_they_are_better(dataset, config, tmp_path, monkeypatch):
    measured = iter([0.9, 0.1, 0.2])
    values = lambda *_: lambda: {"ndcg@10": next(measured), "recall@10": 0.0}  # noqa: E731
    monkeypatch.setattr("tfrec.models.next_item.fit_end_to_end.validation", values)
    run = train(dataset, tmp_path / "run", config)
    assert_allclose(run.text_vectors, run.untuned_text_vectors, atol=1e-5)
    assert json.loads((run.path / "metrics_valid.json").read_text())["ndcg@10"] == 0.9


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("more", [[], ["encoder.lora_rank=2"]], ids=["all weights", "lora"])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(dataset, config, tmp_path, monkeypatch, more, dies_at):
    monkeypatch.setattr(BestWeights, "begin_with", lambda self, model, metrics: None)
    config = config.with_values([*more, "training.encoder_learning_rate=0.002"])
    whole = train(dataset, tmp_path / "whole", config)

    with dies_at(2):
        train(dataset, tmp_path / "parts", config)
    resumed = train(dataset, tmp_path / "parts", config, resume=True)
    assert_allclose(resumed.text_vectors, whole.text_vectors, atol=1e-5)
    for one, other in zip(resumed.model.weights, whole.model.weights, strict=True):
        assert_allclose(one, other, atol=1e-5, err_msg=one.name)
    rows = pl.read_csv(resumed.path / "history.csv")
    assert rows["epoch"].to_list() == [1, 2, 3]


def spoiled(head, place):
    """As `head`, but with a loss (0) or gradients for the text vectors (2) that are NaN."""
    return lambda *inputs: [part * np.nan if at == place else part for at, part in enumerate(head(*inputs))]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_checkpoint(dataset, config, tmp_path, monkeypatch):
    monkeypatch.setattr(EndToEndTrainer, "_head_gradients", spoiled(EndToEndTrainer._head_gradients, 0))
    with pytest.raises(TfrecError, match=r"became nan at step 1 of the epoch.*--resume"):
        train(dataset, tmp_path / "run", config)
    assert (tmp_path / "run.partial" / "checkpoint").is_dir()


@pytest.fixture(scope="module")
def fit(dataset, config):
    """The second stage, before its first step."""
    encoder = load_encoder(config.encoder.name)
    recommender = build_next_item_model(dataset, encoder.encode(dataset.texts), config)
    return EndToEndFit(dataset, build_microbatched_encoder(dataset, encoder, config), recommender, config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", [0, pytest.param(2, marks=pytest.mark.nightly), pytest.param(None, marks=pytest.mark.nightly)]
)
def test_a_step_whose_loss_or_gradient_is_not_finite_changes_no_weight(fit, monkeypatch, place):
    if place is not None:
        monkeypatch.setattr(fit.model, "_head", spoiled(fit.model._head, place))
    before = [weight.numpy() for weight in fit.model.trainable_weights]
    inputs, labels = fit.windows.batch(np.arange(4))
    for _ in range(2):  # the first one is at rate 0
        batch = {name: tf.constant(value) for name, value in inputs.items()}, tf.constant(labels)
        loss = float(fit.model.train_step(batch)["loss"])
    after = [weight.numpy() for weight in fit.model.trainable_weights]
    assert np.isfinite(loss) == (place is None)
    assert all(np.array_equal(one, other) for one, other in zip(before, after)) == (place is not None)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_step_with_augmentation_and_shortened_texts_is_repeatable(dataset, config):
    changed = [f"training.augmentation.{name}=0.3" for name in ("crop", "drop", "mask", "substitute", "words")]
    config = config.with_values([*changed, "training.contrastive=0.5"])
    encoder = load_encoder(config.encoder.name)
    losses, read = [], []
    for _ in range(2):
        recommender = build_next_item_model(dataset, encoder.encode(dataset.texts), config)
        fit = EndToEndFit(dataset, build_microbatched_encoder(dataset, encoder, config), recommender, config)
        given = batches(fit.windows, config, 8, 0, 1, fit.augmentation)
        losses.append([float(fit.model.train_step(batch)["loss"]) for batch in given.take(2)])
        read.append(fit.model.microbatched_encoder._current.lengths.sum())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and np.isfinite(losses).all()
    assert read[0] == read[1] < fit.model.microbatched_encoder.tokens.lengths.sum()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_warm_start_keeps_known_items_and_starts_new_ones_at_their_text(dataset, config, tuned, tmp_path):
    frozen = config.with_values(["encoder.trainable=false"])
    first = train(dataset, tmp_path / "first", frozen)
    still = [
        "training.learning_rate=1e-12",
        "training.encoder_learning_rate=1e-12",
        f"training.start_from={first.path}",
    ]
    for other in ("encoder.trainable=true", "encoder.trainable=false", "training.mixed_bfloat16=true"):
        again = train(dataset, tmp_path / other, config.with_values([*still, other]))
        for one, other in zip(again.model.trainable_weights, first.model.trainable_weights, strict=True):
            assert_allclose(one, other, atol=1e-6, err_msg=one.name)
    events = pl.DataFrame(
        [(f"u{u}", f"i{i}", "view", i) for u in range(8) for i in (9, 3, 99, 5)],
        schema=["user_id", "item_id", "event", "timestamp"],
        orient="row",
    )
    items = pl.DataFrame({"item_id": ["i99", "i5", "i3", "i9"], "title": ["red", "blue", "green", "new"]})
    other = prepare(events, items, tmp_path / "other", split="leave-one-out")
    more = ["model.neighbours=3", "model.text_neighbours=2"]
    moved = train(other, tmp_path / "moved", frozen.with_values([*still, *more]))
    old, new = first.model.items.ids.numpy(), moved.model.items.ids.numpy()
    for row, item in enumerate(moved.item_ids):
        expected = np.zeros(16) if item == "i99" else old[list(first.item_ids).index(item)]
        assert_allclose(new[row], expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.ema=0.9", "training.ema=0.9. Set it to 0.0"),
        ("training.strategy=mirrored", "training.strategy=mirrored"),
        ("model.use_text=false", "model.use_text=true"),
        ("encoder.lora_rank=32", "lora_rank from 1 to 31; received 32"),
        ("training.start_from=nowhere", "nowhere is not a run"),
    ],
)
def test_options_that_cannot_be_combined_are_refused_and_no_folder_is_left(dataset, config, tmp_path, change, words):
    with pytest.raises(InvalidInput, match=words):
        train(dataset, tmp_path / "run", config.with_values([change]))
    assert not list(tmp_path.glob("run*"))


@pytest.mark.slow
def test_starting_from_a_model_of_another_shape_is_refused(dataset, config, tuned, tmp_path):
    with pytest.raises(InvalidInput, match="dim 16 there and 8 here"):
        train(dataset, tmp_path / "run", config.with_values([f"training.start_from={tuned.path}", "model.dim=8"]))


@pytest.mark.slow
def test_training_can_start_from_a_run_older_than_an_option(dataset, config, tuned, tmp_path):
    old = shutil.copytree(tuned.path, tmp_path / "old")
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["model"]["repeat_kinds"]
    (old / "manifest.json").write_text(json.dumps(manifest))
    model = build_next_item_model(dataset, tuned.text_vectors, config, Run(old))
    for one, other in zip(model.body.get_weights(), tuned.model.body.get_weights(), strict=True):
        assert_allclose(one, other)


@pytest.mark.slow
def test_an_encoder_with_unknown_layers_is_refused(dataset, config, tiny_encoder, tmp_path):
    pair = f"encoder.name={tiny_encoder}/preprocessor|{tiny_encoder}/encoder"
    with pytest.raises(InvalidInput, match="layers are known"):
        train(dataset, tmp_path / "run", config.with_values([pair]))


@pytest.mark.slow
def test_the_encoder_is_frozen_by_default_and_not_saved(dataset, config, tmp_path):
    assert not RunConfig().encoder.trainable
    run = train(dataset, tmp_path / "run", config.with_values(["encoder.trainable=false"]))
    assert not (run.path / "encoder").exists()
    assert_array_equal(run.untuned_text_vectors, run.text_vectors)
