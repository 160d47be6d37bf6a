"""The registry of families: a new one is trained, measured and asked like those that come with tfrec."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import sys  # isort: skip
from types import ModuleType, SimpleNamespace  # isort: skip

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.config.model_families import MODEL_FAMILIES
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.models.baselines.counting import Popularity
from tfrec.models.family import Ability, ModelFamily
from tfrec.models.registry import families_with, family_of
from tfrec.runs import Run, evaluate, recommend, train
from tfrec.serving import export
from tfrec.training.fit_result import FitResult
from tfrec.workflows.retrain import retrain

FILE = "weights.npy"


class Counts(Popularity):
    """Popularity from a file of counts."""

    name = "most-taken"

    def __init__(self, counts):
        self.counts, self.num_items = counts, len(counts)


class MostTakenFamily(ModelFamily):
    """A family that is no Keras model, has no epochs, and reads no text."""

    name = "most-taken"
    abilities = frozenset({Ability.RANK_CATALOGUE})

    def fit(self, dataset, config, workdir, context):
        assert context.encoder is None and context.text_vectors is None and not context.resume
        return FitResult(dataset.items["train_count"].to_numpy().astype(np.float32), metrics_valid={"ndcg@10": 0.5})

    def model_config(self, model):
        return {"items": len(model)}

    def save_model(self, model, folder):
        np.save(folder / FILE, model)

    def load_model(self, run):
        return np.load(run.path / FILE)

    def scorer(self, run):
        return Counts(run.model)


@pytest.fixture
def most_taken(monkeypatch):
    """The line that a new family adds to the registry."""
    module = ModuleType("most_taken_family")
    module.MostTakenFamily = MostTakenFamily
    monkeypatch.setitem(sys.modules, "most_taken_family", module)
    monkeypatch.setitem(MODEL_FAMILIES, "most-taken", "most_taken_family:MostTakenFamily")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twenty users; the smaller an item's number, the more of them take it."""
    rng = np.random.default_rng(3)
    rows = [(f"u{u}", f"i{int(i)}", step) for u in range(20) for step, i in enumerate(rng.geometric(0.3, 6) % 8)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(8)], "title": ["thing"] * 8})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "log", split="leave-one-out")


def test_a_new_family_is_trained_measured_and_asked_without_another_line_of_code(most_taken, dataset, tmp_path):
    config = RunConfig().with_values(["model.kind=most-taken", "evaluation.bootstrap=0", "retrieval.exclude_seen=true"])
    train(dataset, tmp_path / "run", config)
    run = Run.load(tmp_path / "run")
    assert run.kind == "most-taken" and run.manifest["model"] == {"items": 8}
    metrics = evaluate(run, dataset)
    assert metrics["ndcg@10"] == pytest.approx(metrics["baselines"]["popularity"]["ndcg@10"])
    lists, counts = recommend(run, dataset, k=3), dataset.items["train_count"].to_numpy()
    histories, place = dataset.histories(), {item: index for index, item in enumerate(dataset.item_ids)}
    for user, events in zip(histories.user_ids, np.split(histories.items, histories.offsets[1:-1]), strict=True):
        left = [item for item in np.argsort(-counts.astype(int), kind="stable") if item not in events]
        found = lists.filter(pl.col("user_id") == user)["item_id"].to_list()
        assert [place[item] for item in found] == left[:3]


def test_what_a_family_cannot_do_is_refused_by_its_name(most_taken, dataset, tmp_path):
    config = RunConfig().with_values(["model.kind=most-taken"])
    run = train(dataset, tmp_path / "run", config)
    with pytest.raises(InvalidInput, match="no export of most-taken runs"):
        export(run, tmp_path / "saved" / "shop")
    with pytest.raises(InvalidInput, match="--ranker must be a click-ranker run; .* is a most-taken run"):
        evaluate(run, dataset, ranker=run)
    with pytest.raises(InvalidInput, match="most-taken models do not start from another run, next-item models do"):
        train(dataset, tmp_path / "other", config.with_values([f"training.start_from={run.path}"]))
    with pytest.raises(InvalidInput, match="expected a next-item run; .* is a most-taken run"):
        start = [f"training.start_from={run.path}", "model.use_text=false"]
        train(dataset, tmp_path / "other", RunConfig().with_values(start))
    with pytest.raises(InvalidInput, match="Only next-item models can be retrained, received model.kind=most-taken"):
        retrain("events.csv", "items.csv", tmp_path / "home", tmp_path / "out", config=config)
    assert not list(tmp_path.glob("other*")) and not (tmp_path / "saved" / "shop" / "1").exists()


def test_a_name_that_no_family_has_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match=r"model\.kind: Expected one of next-item, .*click-ranker.*'zebra'"):
        RunConfig().with_values(["model.kind=zebra"])
    with pytest.raises(InvalidInput, match="one of next-item, .*received 'zebra'"):
        family_of("zebra")


def test_every_family_is_called_what_the_registry_calls_it():
    assert [family_of(kind).name for kind in MODEL_FAMILIES] == list(MODEL_FAMILIES)


def test_abilities_that_depend_on_the_configuration():
    def can(ability, *values):
        config = RunConfig().with_values(values)
        return family_of(config.model.kind).can(ability, config)

    assert can(Ability.RANK_CATALOGUE, "model.kind=behaviour-text")
    assert not can(Ability.RANK_CATALOGUE, "model.kind=behaviour-text", "model.head=sigmoid")
    assert can(Ability.ADD_ITEMS) and not can(Ability.ADD_ITEMS, "model.use_text=false")
    assert can(Ability.TUNE) and not can(Ability.TUNE, "training.monitor=loss")
    assert not can(Ability.TUNE, "encoder.trainable=true")
    assert families_with(Ability.RANK_CATALOGUE) == "next-item or behaviour-text"


def test_a_family_that_ranks_no_catalogue_has_no_lists():
    with pytest.raises(InvalidInput, match="does not rank the catalogue"):
        ModelFamily.scorer(SimpleNamespace(name="most-taken"), None)
