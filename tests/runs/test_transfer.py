"""One model of several shops, and what becomes of it in another: its run, its lists, its refusals."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import importlib  # isort: skip
import json  # isort: skip

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.ring_shops import WordVectors, shop
from tests.unfitted_run import unfitted
from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.family import NextItemFamily
from tfrec.models.next_item.fit_transferred import _better, refuse_other_encoder
from tfrec.models.next_item.warm_start import moves
from tfrec.runs import Run, evaluate, recommend, train
from tfrec.training.fit_result import FitResult


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shops")
    return [shop(folder / "shoes", "shoe", 24), shop(folder / "hats", "hat", 12, ["purchase"])]


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another shop with the same item ids, and an event kind that the others do not have."""
    return shop(tmp_path_factory.mktemp("other") / "lamps", "lamp", 16, ["like", "purchase"])


@pytest.fixture(scope="module", autouse=True)
def encoder():
    with pytest.MonkeyPatch.context() as patch:
        training, moving = (importlib.import_module(f"tfrec.runs.{name}") for name in ("train", "moved_run"))
        patch.setattr(training, "load_configured", lambda options: WordVectors())
        patch.setattr(Run, "encoder", lambda self: WordVectors())
        for module in (training, moving):
            patch.setattr(module, "text_vectors_of", lambda texts, encoder, config: encoder.encode(texts))
        yield


@pytest.fixture(scope="module")
def config():
    small = ["model.dim=8", "model.heads=2", "model.neighbours=2", "model.text_neighbours=2", "tracking.projector=0"]
    return RunConfig().with_values([*small, "training.epochs=2"])


@pytest.fixture(scope="module")
def source(shops, config, tmp_path_factory):
    """A run of both shops with random weights."""

    def shake(model):
        rng = np.random.default_rng(3)
        model.body.set_weights([rng.normal(size=weight.shape) for weight in model.body.get_weights()])
        model.repeats.assign([-5.0, -4.0, 1.0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NextItemFamily, "fit", unfitted(shake))
        return train(shops, tmp_path_factory.mktemp("source") / "run", config)


def test_a_run_of_several_shops_reads_items_by_text_alone_and_names_its_shops(source):
    run = Run(source.path)
    assert run.manifest["domains"] == {"shoes": 8, "hats": 8}
    assert not run.config.model.use_id and not run.model.items.use_id
    assert run.event_kinds == ["view", "purchase"]
    assert run.items["domain"].to_list() == ["shoes"] * 8 + ["hats"] * 8 and run.item_ids[8] == "hats:i0"
    near = run.model.memory.alike.numpy()
    assert (near[:8] < 8).all() and (near[8:] >= 8).all()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_model_learns_what_is_next_in_several_shops(shops, config, tmp_path):
    run = train(shops, tmp_path / "run", config.with_values(["training.epochs=15", "training.learning_rate=0.01"]))
    assert json.loads((run.path / "metrics_valid.json").read_text())["ndcg@10"] > 0.7  # by chance 0.49


@pytest.mark.slow
def test_another_catalogue_is_read_by_its_text_with_its_own_neighbours(source, other):
    lists = recommend(source, other, k=3)
    assert set(lists["item_id"]) <= {f"i{i}" for i in range(8)} and lists["user_id"].n_unique() == 16
    vectors = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    model, fresh = (build_next_item_model(other, vectors, source.config, earlier) for earlier in (source, None))
    assert_array_equal(model.memory.near, fresh.memory.near)
    assert_allclose(model.repeats.scaled, fresh.repeats.scaled)  # not those of the source
    assert_array_equal(model.items.projection, source.model.items.projection)
    for ours, theirs in zip(model.body.weights, source.model.body.weights, strict=True):
        if "kinds" not in ours.name:
            assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_without_queries_to_choose_by_a_run_takes_along_what_was_found_elsewhere(source, other, monkeypatch):
    found = {"weight": 2.0, "text_weight": 3.0, "decay": 0.9, "discount": 0.15, "log_temperature": -1.5}
    traveller = source.with_values({})
    traveller.manifest = {**source.manifest, "elsewhere": {"score_weights": found}}
    vectors, family = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32), NextItemFamily()
    model = family.moved_model(traveller, other, vectors)  # 16 queries are too few to choose by
    assert model.log_temperature.numpy() == -1.5 and model.memory.decay.numpy() == pytest.approx(0.9)
    monkeypatch.setattr("tfrec.models.next_item.family.MIN_QUERIES", 16)
    assert family.moved_model(traveller, other, vectors).memory.decay.numpy() != pytest.approx(0.9)


@pytest.mark.slow
def test_event_kinds_are_matched_by_name(source, other):
    vectors = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    kinds, theirs = (
        model.body.get_layer("event_embedding").kinds.numpy()
        for model in (build_next_item_model(other, vectors, source.config, source), source.model)
    )
    assert other.event_kinds == ["purchase", "like"]  # of which the source knows the first, as its second
    assert_array_equal(kinds, [theirs[1], np.zeros(8), theirs[2]])


def test_equal_ids_do_not_make_a_catalogue_the_same(source, shops, other, config):
    assert moves(source, other) and not moves(source, source_catalogue(source))
    assert moves(source, shops[0])  # as "shoes:i0" is not "i0"


def source_catalogue(run):
    class Catalogue:
        items, num_items = run.items, run.items.height

    return Catalogue


@pytest.mark.slow
def test_metrics_on_another_catalogue_need_a_file_of_their_own(source, other, tmp_path):
    with pytest.raises(InvalidInput, match="another catalogue than .* Pass --out"):
        evaluate(source, other)
    metrics = evaluate(source, other, out=tmp_path / "metrics.json")
    assert metrics["items"] == 8 and "text" in metrics["baselines"]
    assert not (source.path / "metrics.json").exists() and not (source.path / "predictions.parquet").exists()


def test_a_run_that_reads_pictures_too_stays_where_it_is(source, other):
    with_pictures = source.with_values({})
    with_pictures.manifest = {
        **source.manifest,
        "model": {**source.manifest["model"], "modalities": [["image", 8, 1.0, 1.0]]},
    }
    with pytest.raises(InvalidInput, match=r"reads more of its items than texts.*several --data"):
        recommend(with_pictures, other)


def test_a_run_that_knows_items_by_their_ids_stays_where_it_is(source, other):
    with_ids = source.with_values({"model.use_id": True})
    with pytest.raises(InvalidInput, match="another catalogue .*model.use_id=false.* can be used on any"):
        recommend(with_ids, other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.use_text=false", "ids mean nothing in another catalogue. Set model.use_text=true, or train on one"),
        ("encoder.trainable=true", "encoder.trainable=True does not go with several datasets"),
        ("encoder.image=efficientnet-lite0", "their texts alone in common. Set encoder.image=null"),
        ("training.jit_compile=true", "Set training.jit_compile=false"),
        ("retrieval.segment=country", "the columns of users differ"),
        ("model.kind=click-ranker", "click-ranker models are trained on one dataset"),
    ],
)
def test_options_that_do_not_go_with_several_datasets_are_refused(shops, config, tmp_path, change, words):
    with pytest.raises(InvalidInput, match=words):
        train(shops, tmp_path / "run", config.with_values([change]))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def started(source, other, config, tmp_path_factory):
    """A run of the other shop, with ids, which started from the source."""
    folder = tmp_path_factory.mktemp("started")
    return train(other, folder / "run", config.with_values({"training.start_from": str(source.path)}))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_training_in_another_catalogue_grows_ids_and_says_which_start_was_kept(source, started, other):
    start = started.manifest["start"]
    values = start["valid_ndcg@10"]
    assert start["chosen"] in values == {name: pytest.approx(value) for name, value in values.items()}
    assert set(values) == {"transferred", "fresh"} and start["from"] == str(source.path)
    metrics = json.loads((started.path / "metrics_valid.json").read_text())
    assert metrics["ndcg@10"] == pytest.approx(values[start["chosen"]])
    assert started.manifest["score_weights"]["queries"] == 16
    assert started.model.items.use_id and started.model.items.ids.shape == (8, 8)
    assert len(pl.read_csv(started.path / "history.csv")) == 4  # two epochs each
    assert evaluate(started, other)["ndcg@10"] > 0


@pytest.mark.slow
@pytest.mark.nightly
def test_a_comparison_that_was_killed_and_resumed_ends_as_an_uninterrupted_one(
    source, started, other, config, tmp_path, dies_at
):
    start = config.with_values({"training.start_from": str(source.path)})
    with dies_at(3):  # in the second epoch of the fresh start
        train(other, tmp_path / "run", start)
    resumed = train(other, tmp_path / "run", resume=True)
    assert resumed.manifest["start"] == started.manifest["start"]
    for ours, theirs in zip(resumed.model.weights, started.model.weights, strict=True):
        assert_array_equal(ours, theirs, err_msg=ours.name)


def results(transferred, fresh):
    pairs = (("transferred", transferred), ("fresh", fresh))
    return {name: FitResult(name, metrics_valid={"ndcg@10": float(np.mean(each))}) for name, each in pairs}


@pytest.mark.parametrize(
    ("fresh", "trained", "chosen"),
    [
        ([0.5, 0.6, 0.5, 0.6], False, "fresh"),
        ([0.0, 0.0, 0.0, 0.9], True, "transferred"),
        ([0.2] * 4, True, "transferred"),
    ],
)
def test_a_fresh_start_is_kept_only_if_it_is_ahead_by_a_standard_error(fresh, trained, chosen, capsys):
    each = {"transferred": np.array([0.2] * 4), "fresh": np.array(fresh)}
    kept = _better(results(**each), dict.fromkeys(each, trained), "ndcg@10", each)
    assert kept.model == chosen == kept.start["chosen"] and kept.start["trained"] is trained
    assert kept.start["difference"] == pytest.approx(np.mean(fresh) - 0.2)
    assert kept.start["standard_error"] == pytest.approx(np.std(fresh, ddof=1) / 2)
    assert (", as it was before training" in capsys.readouterr().err) is not trained


def test_without_queries_to_compare_the_better_metric_wins_and_the_transferred_of_equal_ones():
    both = {"transferred": True, "fresh": True}
    assert _better(results([0.2], [0.3]), both, "ndcg@10", {}).model == "fresh"
    assert _better(results([0.3], [0.3]), both, "ndcg@10", {}).model == "transferred"
    losses = {name: FitResult(name, metrics_valid={"loss": value}) for name, value in (("a", 2.0), ("b", 1.0))}
    assert _better(losses, {"a": True, "b": True}, "loss", {}).model == "b"


def test_a_source_of_another_encoder_is_refused_with_the_one_to_pass(source, other, config):
    class Other(WordVectors):
        hash = weights_hash = recorded_hash = "f" * 64

    with pytest.raises(InvalidInput, match=r"hash ffffffffffff\)\. Pass --encoder minilm-l6, or train without"):
        refuse_other_encoder(source, other, Other(), config)
    refuse_other_encoder(source, source_catalogue(source), Other(), config)  # of its own catalogue it may be tuned
    refuse_other_encoder(source, other, None, config)
