"""The search for hyper-parameters: what is kept, resumed, pruned and refused."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import shutil
from types import SimpleNamespace

import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput, TfrecError, Unavailable
from tfrec.files import write_json
from tfrec.workflows.tune import read_space, tune, tuning_report, validation_value

optuna = pytest.importorskip("optuna", reason="the extra tune is not installed")

SPACE = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.layers": {"low": 0, "high": 2, "log": False},
}
SMALL = ["model.dim=8", "model.heads=2", "model.layers=1", "model.use_text=false", "training.epochs=3"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % 9}", step) for u in range(30) for step in range(6)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(9)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture
def trained(monkeypatch):
    """Training as a formula: 0.1 a layer and a little for the rate, reached in three epochs."""
    seen = []

    def train(data, out, config, force, after_epoch):
        value = 0.1 * config.model.layers + config.training.learning_rate
        seen.append((config.model.layers, config.training.learning_rate))
        partial = out.with_name(out.name + ".partial")
        for folder in (out, partial):
            shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir()
        for epoch in range(3):
            after_epoch(epoch, {"valid_ndcg@10": value * (epoch + 1) / 3})
        partial.rename(out)
        config.save(out / "config.yaml")
        write_json(out / "metrics_valid.json", {"ndcg@10": value})
        write_json(out / "manifest.json", {"kind": "next-item", "data": "fingerprint"})
        return SimpleNamespace(path=out)

    monkeypatch.setattr("tfrec.runs.train", train)
    return seen


@pytest.mark.slow
def test_the_best_of_all_trials_is_kept_with_its_options(dataset, trained, tmp_path):
    found = tune(dataset, SPACE, tmp_path / "study", RunConfig(), trials=12)
    best = max(trained, key=lambda options: 0.1 * options[0] + options[1])
    assert len(trained) == 12 and (found["options"]["model.layers"], found["options"]["training.learning_rate"]) == best
    assert found["value"] == pytest.approx(0.1 * best[0] + best[1]) and found["trials"] == 12
    chosen = RunConfig.load(tmp_path / "study" / "best.yaml")
    assert (chosen.model.layers, chosen.training.learning_rate) == best
    assert RunConfig.load(tmp_path / "study" / "best" / "config.yaml") == chosen
    rows = json.loads((tmp_path / "study" / "trials.json").read_text())
    assert [row["state"] for row in rows].count("pruned") == found["pruned"] > 0
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "study.db", "best", "best.yaml", "trials.json", "report.html"
    }  # fmt: skip


def test_trials_are_told_apart_by_what_training_could_give_even_where_it_was_left_out(tmp_path):
    write_json(tmp_path / "metrics_valid.json", {"ndcg@10": 0.1})
    for manifest, value in (({}, 0.1), ({"score_weights": None}, 0.1)):
        write_json(tmp_path / "manifest.json", manifest)
        assert validation_value(tmp_path) == value
    left_out = {"chosen": "untrained", "valid_ndcg@10": {"trained": 0.12, "untrained": 0.1}}
    write_json(tmp_path / "manifest.json", {"score_weights": left_out})
    assert validation_value(tmp_path) == 0.12


@pytest.mark.slow
def test_an_interrupted_study_continues_and_replaces_the_lost_trial(dataset, trained, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("tfrec.workflows.tune.validation_value", lambda run: (_ for _ in ()).throw(Killed()))
        tune(dataset, SPACE, tmp_path / "study", trials=3)
    assert len(trained) == 1
    assert tune(dataset, SPACE, tmp_path / "study", trials=2)["trials"] == 2
    assert tune(dataset, SPACE, tmp_path / "study", trials=4)["trials"] == 4
    assert len(trained) == 5 and len(set(trained)) == 5
    assert tune(dataset, SPACE, tmp_path / "study", trials=4)["trials"] == 4 and len(trained) == 5


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_around_the_record_of_a_trial_keeps_run_and_study_together(
    dataset, trained, tmp_path, monkeypatch, when
):
    class Killed(BaseException):
        pass

    tell, out = optuna.Study.tell, tmp_path / "study"
    monkeypatch.setattr(
        "tfrec.workflows.tune.validation_value", lambda run: float(len(trained))
    )  # each better than the last
    tune(dataset, SPACE, out, trials=1)

    def killed(self, *arguments, **options):
        if when == "after":
            tell(self, *arguments, **options)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(optuna.Study, "tell", killed)
        tune(dataset, SPACE, out, trials=2)
    found = tune(dataset, SPACE, out, trials=2)
    assert len(trained) == (3 if when == "before" else 2)
    assert (found["options"]["model.layers"], found["options"]["training.learning_rate"]) == trained[-1]
    kept = RunConfig.load(out / "best" / "config.yaml")
    assert kept == RunConfig.load(out / "best.yaml") and kept.model.layers == found["options"]["model.layers"]


@pytest.mark.slow
def test_a_trial_that_diverges_does_not_end_the_search(dataset, trained, tmp_path, monkeypatch):
    import tfrec.runs

    train = tfrec.runs.train

    def diverges(data, out, config, force, after_epoch):
        if not trained:
            trained.append(None)
            raise TfrecError("The loss became nan.")
        return train(data, out, config, force, after_epoch)

    monkeypatch.setattr("tfrec.runs.train", diverges)
    found = tune(dataset, SPACE, tmp_path / "study", trials=2)
    assert (found["trials"], found["pruned"]) == (2, 1)


def test_another_study_in_the_same_folder_is_refused(dataset, trained, tmp_path):
    tune(dataset, SPACE, tmp_path / "study", trials=1)
    with pytest.raises(InvalidInput, match="study of another space"):
        tune(dataset, {"model.layers": SPACE["model.layers"]}, tmp_path / "study", trials=2)
    with pytest.raises(InvalidInput, match="study of another config"):
        tune(dataset, SPACE, tmp_path / "study", RunConfig().with_values(["training.seed=1"]), trials=2)


@pytest.mark.parametrize(
    "space, message",
    [
        ({"model.depth": {"low": 1, "high": 2, "log": False}}, "'model.depth', which is no option"),
        ({"training.dropout": {"low": 1, "high": 2, "log": False}}, "'training.dropout', which is no option"),
        ({"model.dropout": {"low": 0.5, "high": 1.5, "log": False}}, "model.dropout: .*less than 1"),
        ({"model.kind": {"choices": ["next-item", "nonsense"]}}, "model.kind"),
        ({"training.augmentation.flip": {"choices": [0.1]}}, "augmentation.flip', which is no option"),
        ({"training.epochs.crop": {"choices": [0.1]}}, "epochs.crop', which is no option"),
        ({"training.augmentation.crop": {"choices": [0.1, 2.0]}}, "training.augmentation.crop: .*equal to 1"),
    ],
)
def test_options_that_do_not_exist_are_refused_before_any_work(dataset, tmp_path, space, message):
    with pytest.raises(InvalidInput, match=message):
        tune(dataset, space, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_other_models_are_refused(dataset, tmp_path):
    with pytest.raises(InvalidInput, match="next-item models"):
        tune(dataset, SPACE, tmp_path / "study", RunConfig().with_values(["model.kind=behaviour-text"]))


def test_without_optuna_it_says_what_to_install(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(Unavailable, match=r"tfrec-bert\[tune\]"):
        tune(dataset, SPACE, tmp_path / "study")


def test_a_search_space_is_parsed_and_mistakes_are_reported(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("training.learning_rate: {low: 1e-4, high: 0.01, log: true}\nmodel.dim: {choices: [8, 16]}\n")
    assert read_space(file) == {
        "training.learning_rate": {"low": 1e-4, "high": 0.01, "log": True},
        "model.dim": {"choices": [8, 16]},
    }
    for text, message in (
        ("", "must map options"),
        ("model.dim: 3", "received 3"),
        ("model.dim: {low: 3, top: 4}", "expected {low, high}"),
        ("model.dim: {low: 4, high: 3}", "low at most high"),
        ("model.dim: {low: a, high: b}", "expected numbers"),
        ("model.dim: {low: 0, high: 3, log: true}", "above 0"),
        ("model.dim: {choices: []}", "list of choices"),
        ("model.dim: {choices", "not valid YAML"),
    ):
        file.write_text(text)
        with pytest.raises(InvalidInput, match=message):
            read_space(file)
    with pytest.raises(InvalidInput, match="Cannot read"):
        read_space(tmp_path / "none.yaml")


def test_the_page_shows_numeric_options_and_leaves_out_the_others():
    rows = [
        {"trial": 0, "state": "complete", "ndcg@10": 0.5, "model.layers": 1, "training.negatives": "all"},
        {"trial": 1, "state": "pruned", "ndcg@10": None, "model.layers": 2, "training.negatives": "uniform"},
    ]
    page = tuning_report(rows)
    assert "ndcg@10 over model.layers" in page and "over training.negatives" not in page and "–" in page


@pytest.mark.slow
def test_a_real_search_prunes_within_a_training_and_leaves_a_run(dataset, tmp_path, monkeypatch):
    from tfrec.runs import Run

    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.number == 1)
    config = RunConfig().with_values(SMALL)
    found = tune(dataset, {"model.layers": {"choices": [0, 1]}}, tmp_path / "study", config, trials=2)
    assert (found["trials"], found["pruned"]) == (2, 1)
    assert Run(tmp_path / "study" / "best").config.model.layers == found["options"]["model.layers"]
    assert not list((tmp_path / "study").glob("trial*partial"))


def test_the_search_space_in_the_docs_is_valid(tmp_path):
    import re
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "howto.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"in `space.yaml`.*?```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "space.yaml").write_text(text)
    for option, spec in read_space(tmp_path / "space.yaml").items():
        for value in spec.get("choices", [spec.get("low"), spec.get("high")]):
            RunConfig().with_values([f"{option}={value}"])
