"""Runs in MLflow, read back by MLflow's own client from a store in a file; nothing goes over a network."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import csv  # isort: skip
import json
import sys

import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import Unavailable
from tfrec.runs import evaluate, train
from tfrec.runs import mlflow_tracking as module

SMALL = ["model.dim=4", "model.heads=1", "model.use_text=false", "training.epochs=2", "evaluation.bootstrap=0"]


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow, started in an empty folder."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("mlflow", reason="extra `mlflow`")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % 6}", step) for u in range(12) for step in range(6)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(6)], "title": [f"Thing {i}" for i in range(6)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.mark.slow
def test_a_run_and_its_evaluation_are_in_the_local_store(mlflow, dataset, tmp_path):
    run = train(dataset, tmp_path / "shop", RunConfig().with_values([*SMALL, "tracking.mlflow=true"]))
    measured = evaluate(run, dataset)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (kept,) = client.search_runs([client.get_experiment_by_name("tfrec").experiment_id])
    assert kept.info.run_name == "shop" and kept.info.status == "FINISHED"
    assert kept.data.params["model.dim"] == "4" and kept.data.params["tracking.mlflow"] == "True"
    assert len(kept.data.params) > 100  # every option, more than MLflow takes at once
    assert kept.data.tags["tfrec.run"] == str(tmp_path / "shop")
    rows = list(csv.DictReader((run.path / "history.csv").open()))
    losses = client.get_metric_history(kept.info.run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(int(row["epoch"]), float(row["loss"])) for row in rows]
    best = json.loads((run.path / "metrics_valid.json").read_text())["ndcg@10"]
    assert kept.data.metrics["best.ndcg_at_10"] == best
    assert kept.data.metrics["test.ndcg_at_10"] == measured["ndcg@10"]
    popularity = measured["baselines"]["popularity"]["recall@10"]
    assert kept.data.metrics["test.baselines.popularity.recall_at_10"] == popularity
    files = {file.path for file in client.list_artifacts(kept.info.run_id)}
    assert files == {"config.yaml", "manifest.json", "history.csv", "metrics_valid.json", "metrics.json"}
    assert mlflow.active_run() is None

    module.add_to_record(run.path, run.path / "items.parquet")
    assert "items.parquet" in {file.path for file in client.list_artifacts(kept.info.run_id)}


@pytest.mark.slow
def test_a_store_that_fails_at_the_end_costs_a_message_and_no_run(mlflow, dataset, tmp_path, monkeypatch, capsys):
    def gone(self, *arguments, **options):
        raise OSError("connection refused\nmany more lines")

    monkeypatch.setattr(module.Store, "record", gone)
    run = train(dataset, tmp_path / "shop", RunConfig().with_values([*SMALL, "tracking.mlflow=true"]))
    assert (run.path / "manifest.json").is_file() and not (run.path / "mlflow.json").exists()
    assert "did not take it: connection refused\n" in capsys.readouterr().err
    (run.path / "mlflow.json").write_text('{"uri": "nonsense://x", "experiment": "tfrec", "run_id": "1"}')
    assert evaluate(run, dataset)["users"] == 12
    assert "metrics.json is not in MLflow" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_told_before_the_fit(mlflow, dataset, tmp_path):
    (tmp_path / "file").write_text("no folder")
    wrong = ["tracking.mlflow=true", f"tracking.mlflow_uri=sqlite:///{tmp_path}/file/mlflow.db"]
    with pytest.raises(Unavailable, match=r"cannot be used: .*tracking.mlflow_uri"):
        train(dataset, tmp_path / "shop", RunConfig().with_values([*SMALL, *wrong]))
    assert not list(tmp_path.glob("shop*"))


def test_without_mlflow_the_error_names_the_extra_and_nothing_is_written(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(Unavailable, match=r"pip install 'tfrec-bert\[mlflow\]'") as error:
        train(dataset, tmp_path / "shop", RunConfig().with_values([*SMALL, "tracking.mlflow=true"]))
    assert error.value.exit_code == 2
    assert not list(tmp_path.glob("shop*"))


def test_names_and_numbers_are_such_as_mlflow_takes():
    values = {
        "ndcg@10": 0.5,
        "behaviours": {"收藏 (a)": {"auc": 1}},
        "loss": float("nan"),
        "slices": {"x": 1.0},
        "ok": True,
    }
    assert module._numbers(values, "test.") == [("test.ndcg_at_10", 0.5), ("test.behaviours.收藏 _a_.auc", 1.0)]
    assert list(module._flat({"a": {"b": {}, "c": [1]}})) == [("a.b", {}), ("a.c", [1])]
