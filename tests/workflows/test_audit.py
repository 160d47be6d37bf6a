"""`audit`: canaries in the log, what is known of them, and what that proves."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip

import numpy as np
import polars as pl
import pytest

from tests.unfitted_run import ITEMS, small_config, small_data, small_run  # noqa: F401
from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.models import NextItemModel
from tfrec.models.next_item.family import NextItemFamily
from tfrec.privacy import Ledger, Mechanism
from tfrec.runs import load_run, train
from tfrec.training.fit_result import FitResult
from tfrec.workflows import audit as module
from tfrec.workflows.audit import audit
from tfrec.workflows.canaries import LENGTH, DatasetWithCanaries, random_canaries


def test_the_canaries_that_are_in_stand_behind_the_people_of_the_log(small_data):  # noqa: F811
    canaries = random_canaries(small_data, 9, np.random.default_rng(0))
    included = np.arange(9) % 3 == 0
    ours, grown = small_data.training(), DatasetWithCanaries(small_data, canaries, included).training()
    assert grown.user_ids.tolist() == [*ours.user_ids, "canary 0", "canary 3", "canary 6"]
    np.testing.assert_array_equal(grown.items[: len(ours.items)], ours.items)
    np.testing.assert_array_equal(grown.items[grown.row(len(ours) + 1)], canaries.items[canaries.row(3)])
    assert grown.lengths[-3:].tolist() == [LENGTH] * 3 and grown.is_target[-30:].all()


def test_canaries_are_in_what_the_model_reads_of_a_log_with_impressions(tmp_path):
    rows = [(f"u{u}", f"i{step}", "view" if step % 2 else "impression", step) for u in range(4) for step in range(8)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    data = prepare(events, None, tmp_path / "data", split="leave-one-out")
    read = NextItemFamily().read_by(RunConfig(), data)
    canaries = random_canaries(read, 3, np.random.default_rng(0))
    grown = DatasetWithCanaries(read, canaries, np.array([True, False, True]))
    views = data.event_kinds.index("view")
    assert set(grown.training().events.tolist()) == set(grown.histories().events.tolist()) == {views}
    assert len(grown.training()) == len(read.training()) + 2 and len(grown.queries("test")) == len(read.queries("test"))


class Memorised:
    """Scores what follows in the histories that it was fitted on, and nothing of others."""

    def __init__(self, training):
        self.known = {
            tuple(training.items[training.offsets[row] : training.offsets[row] + length]): int(
                training.items[training.offsets[row] + length]
            )
            for row in range(len(training))
            for length in range(1, training.lengths[row])
        }

    def scores(self, histories, rows):
        scores = np.zeros((len(rows), ITEMS), np.float32)
        for place, row in enumerate(rows):
            following = self.known.get(tuple(histories.items[histories.row(row)]))
            if following is not None:
                scores[place, following] = 5.0
        return scores


@pytest.fixture
def memorising(monkeypatch):
    """`fit` gives a model that knows its training by heart, with a ledger that promises ε = 0.2."""

    def fit(self, dataset, config, workdir, context):
        ledger = Ledger(1e-5, (Mechanism("gradients", 20.0),)) if config.privacy.on else None
        return FitResult(dataset.training(), ledger=ledger)

    monkeypatch.setattr(NextItemFamily, "fit", fit)
    monkeypatch.setattr(module, "NextItemScorer", Memorised)


@pytest.mark.slow
def test_a_model_that_knows_people_by_heart_gives_its_canaries_away(small_run, small_data, memorising, tmp_path):  # noqa: F811
    report = audit(small_run, small_data, tmp_path / "audit.json", canaries=60)
    assert report["membership"]["scores"]["low"] > 0.9 and report["passed"]  # it promises nothing
    assert json.loads((tmp_path / "audit.json").read_text()) == report and "training" not in report
    with pytest.raises(InvalidInput, match="exists"):
        audit(small_run, small_data, tmp_path / "audit.json")


def test_a_ledger_that_promises_more_than_is_kept_is_found_out(
    small_run,  # noqa: F811
    small_data,  # noqa: F811
    memorising,
    tmp_path,
    dp_accounting,
    monkeypatch,
):
    run = load_run(small_run)
    run.ledger = Ledger(1e-5, (Mechanism("gradients", 20.0),))
    run.manifest["privacy"] = run.ledger.seal(run.manifest["files"])
    report = audit(run, small_data, tmp_path / "audit.json", canaries=200)
    assert report["clipping"]["passed"] and report["recomputed"]["passed"]
    training = report["training"]
    assert training["correct"] == training["guesses"] == 100
    assert not report["passed"] and training["lower_bound"] > 2 > training["epsilon"]


def test_runs_that_cannot_be_audited_are_refused(small_run, small_data, tmp_path):  # noqa: F811
    with pytest.raises(InvalidInput, match="at least 8 canaries"):
        audit(small_run, small_data, tmp_path / "audit.json", canaries=3)


@pytest.mark.nightly
def test_a_private_run_passes_its_audit(tiny_encoder, tmp_path, dp_accounting):
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", step) for u in range(200) for step, i in enumerate(rng.integers(0, 40, 6))]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(40)], "title": [f"red {i}" for i in range(40)]})
    data = prepare(events, items, tmp_path / "data", split="leave-one-out")
    small = {"model.dim": 16, "model.heads": 2, "model.layers": 0, "training.epochs": 2, "model.max_history": 12}
    private = {"privacy.epsilon": 4, "privacy.delta": 1e-4, "encoder.name": str(tiny_encoder)}
    run = train(data, tmp_path / "run", {**small, **private})
    report = audit(run, data, tmp_path / "audit.json", canaries=100)
    assert report["passed"] and report["training"]["lower_bound"] <= report["training"]["epsilon"]
    assert isinstance(run.model, NextItemModel)
