"""Comparing run folders: seeds are grouped, protocols must agree, and the report has the verdicts."""

import json

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput, RunConfig
from tfrec.workflows.compare_runs import compare_runs, comparison_report, verdict


@pytest.fixture
def run(tmp_path):
    """Writes an evaluated run's folder: `run("a", ranks, seed=1, layers=2, part="test")`."""

    def write(name, ranks, seed=0, layers=2, part="test"):
        folder = tmp_path / name
        folder.mkdir()
        values = ["model.layers=" + str(layers), "training.seed=" + str(seed)]
        RunConfig().with_values(values).save(folder / "config.yaml")
        protocol = {"split": "leave-one-out", "part": part, "ranking": "full", "exclude_seen": False}
        protocol["targets"] = len(ranks)
        (folder / "metrics.json").write_text(json.dumps({"protocol": protocol}))
        pl.DataFrame(
            {
                "user_id": [f"u{i}" for i in range(len(ranks))],
                "targets": [[i] for i in range(len(ranks))],
                "ranks": [[int(r)] for r in ranks],
            }
        ).write_parquet(folder / "predictions.parquet")
        return folder

    return write


def test_runs_that_differ_only_in_their_seed_are_one_system(run):
    rng = np.random.default_rng(0)
    poor, good = rng.integers(5, 30, 200), rng.integers(1, 6, 200)
    folders = [run("a1", poor, seed=1), run("a2", poor + 1, seed=2), run("b1", good, seed=1, layers=3)]
    table = compare_runs(folders, metrics=["ndcg@10"], resamples=200, flips=499)
    assert table.select("system", "baseline", "seeds").rows() == [("b1", "a1", 1)]
    assert "b1 is better than a1 on ndcg@10: +" in verdict(table.row(0, named=True))
    page = comparison_report(table)
    assert "<svg" in page and "b1 is better than a1" in page and "http" not in page


def test_the_command_prints_verdicts_and_writes_page_and_table(run, tfrec, tmp_path):
    one, two = run("one", [1, 5, 3]), run("two", [1, 5, 2], layers=1)
    page, table = tmp_path / "out.html", tmp_path / "out.csv"
    line = ["compare", one, two, "--metric", "mrr@10", "--out", page, "--table", table]
    code, out, err = tfrec(*line)
    assert code == 0, err
    assert "two and one cannot be told apart on mrr@10" in out
    assert "<svg" in page.read_text() and pl.read_csv(table)["difference"].to_list() == pytest.approx([1 / 18])
    code, _, err = tfrec(*line)
    assert code == 2 and "--force" in err


@pytest.mark.parametrize(
    "change, message",
    [({"part": "valid"}, "part 'valid'"), ({"ranks": [1, 2]}, "targets 2")],
)
def test_runs_of_different_protocols_are_not_compared(run, change, message):
    folders = [run("a", [1, 2, 3]), run("b", **{"ranks": [1, 2, 3], "layers": 1, **change})]
    with pytest.raises(InvalidInput, match=message):
        compare_runs(folders)


def test_runs_without_ranking_metrics_are_refused(run, tmp_path):
    good = run("a", [1])
    with pytest.raises(InvalidInput, match="tfrec evaluate"):
        compare_runs([good, tmp_path / "nothing"])
    with pytest.raises(InvalidInput, match="more than once"):
        compare_runs([good, good])
    (good / "metrics.json").write_text('{"auc": 0.5}')
    with pytest.raises(InvalidInput, match="sigmoid"):
        compare_runs([good, good.parent / "a"][:1])
