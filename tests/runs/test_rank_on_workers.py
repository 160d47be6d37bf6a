import contextlib
import json
import pickle

import polars as pl
import pytest

import tfrec
from tfrec.cluster import InThisProcess
from tfrec.runs import rank_on_workers


@pytest.mark.slow
def test_an_evaluation_on_workers_is_that_of_one_process(small_run, small_data, tmp_path, monkeypatch):
    shared, parts = [], []

    class Sent(InThisProcess):
        """What goes to a worker and back is bytes."""

        def share(self, value):
            shared.append(type(value).__name__)
            return pickle.loads(pickle.dumps(value))

        def map(self, function, calls, label):
            parts.append(len(calls))
            return pickle.loads(pickle.dumps(super().map(function, pickle.loads(pickle.dumps(calls)), label)))

    @contextlib.contextmanager
    def workers_of(config):
        yield Sent(config.workers)

    monkeypatch.setattr(rank_on_workers, "workers_of", workers_of)
    rank_on_workers._scorer.cache_clear()
    run = tfrec.load_run(small_run).with_values({"evaluation.batch_size": 1, "evaluation.bootstrap": 50})
    found, lists = {}, {}
    for engine in ("none", "ray"):
        given = run.with_values({"cluster.engine": engine, "cluster.workers": 2})
        found[engine] = tfrec.evaluate(given, small_data, out=tmp_path / f"{engine}.json", trained_baselines=True)
        lists[engine] = pl.read_parquet(small_run / "predictions.parquet")
    assert found["ray"] == found["none"] and "ease" in found["ray"]["baselines_trained"]
    assert lists["ray"].equals(lists["none"])
    assert json.loads((tmp_path / "ray.json").read_text()) == json.loads((tmp_path / "none.json").read_text())
    assert shared[0] == "ScorerOfRun" and set(shared[1:]) >= {"Popularity", "Cooccurrence", "Ease", "Als"}
    assert min(parts) > 1
