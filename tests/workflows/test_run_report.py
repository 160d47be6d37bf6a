"""The report of a run has every section, the numbers of the metrics file, and loads nothing from the web."""

import json
import re

import numpy as np
import polars as pl
import pytest

from tests.damage import outcomes, passed
from tfrec import InvalidInput, RunConfig, prepare
from tfrec.data import prepare_folds
from tfrec.evaluation import evaluate_ranking
from tfrec.workflows.run_report import run_report


@pytest.fixture
def evaluated(tmp_path):
    """A dataset and a run's folder with the files that training and evaluation leave, written by hand."""
    rows = [(f"u{u}", f"i{(u + step) % 7}", step) for u in range(9) for step in range(4)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    catalogue = pl.DataFrame({"item_id": [f"i{i}" for i in range(7)], "title": [f"Tea <{i}>" for i in range(7)]})
    data = prepare(log, catalogue, tmp_path / "data", split="leave-one-out")

    class Fixed:
        name, num_items = "fixed", 7

        def scores(self, histories, rows):
            return np.tile(np.arange(7, dtype=np.float32), (len(rows), 1))

    run = tmp_path / "run"
    run.mkdir()
    result = evaluate_ranking(Fixed(), data.queries("test"), num_items=7, bootstrap=20, keep_predictions=5)
    result.predictions.write_parquet(run / "predictions.parquet")
    data.items.write_parquet(run / "items.parquet")
    RunConfig().save(run / "config.yaml")
    (run / "history.csv").write_text("epoch,loss,valid_ndcg@10\n1,2.5,\n2,1.5,0.25\n")
    (run / "manifest.json").write_text(json.dumps({"kind": "next-item", "seed": 7, "versions": {"tensorflow": "2.x"}}))
    group = {"users": 9, "ndcg@10": 0.1875, "ndcg@10_se": 0.01, "recall@10": 1.0, "mrr@10": 0.2}
    metrics = {
        **{name: value for name, value in result.metrics.items() if "@" in name},
        "users": 9,
        "items": 7,
        "intervals": {name: list(bounds) for name, bounds in result.intervals.items()},
        "protocol": {"part": "test", "ties": "against the model"},
        "beyond": {"gini@10": 0.125, "diversity@10": None},
        "slices": {
            "users": {"activity": {"hot": group, "warm": {**group, "ndcg@10_se": None}}},
            "targets": {
                "popularity": {"hot": group},
                "transition": {"never": {**group, "ndcg@10_cooccurrence": 0.0390625}},
            },
            "disparity": {"activity": {"best": "hot", "worst": "warm", "gap": 0.5, "gap_se": 0.1, "left_out": ["x"]}},
            "exposure": {"shop": [{"group": "A", "disparity": None}]},
            "cold_items": {"users": 3, "ndcg@10": 0.0625},
        },
        "baselines": {"popularity": {"ndcg@10": 0.3125}},
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run, data, metrics


def test_the_page_has_every_part_and_fetches_nothing(evaluated):
    run, data, metrics = evaluated
    page = run_report(run, data)
    for heading in (
        "Metrics",
        "Learning curves",
        "Users by activity",
        "Targets by popularity",
        "Exposure by shop",
        "Cold slices",
        "The lists",
        "Examples",
        "Data quality",
        "Versions",
        "Configuration",
    ):
        assert f"<h2>{heading}</h2>" in page, heading
    assert f"{metrics['ndcg@10']:.4g}" in page and "0.3125" in page and "0.1875" in page and "0.125" in page
    assert "ndcg@10 of cooccurrence" in page and "0.03906" in page
    assert "Tea &lt;6&gt;" in page and "Tea <" not in page and " ✓" in page
    assert "gap 0.5000 ± 0.1960" in page and "Too few users to compare: x" in page
    assert "against the model" in page and "Calibration" not in page
    assert "http" not in page and "<script" not in page
    assert run_report(run, data) == page


def test_one_table_says_how_far_a_run_generalises_beside_its_best_baseline(evaluated):
    run, data, metrics = evaluated
    assert "Generalisation" not in run_report(run, data)  # without a comparison
    standing = {"baseline": "cooccurrence", "difference": 0.1, "standard_error": 0.01, "verdict": "ahead"}
    metrics |= {"ndcg@10": 0.25, "standing": standing, "baselines": {"cooccurrence": {"ndcg@10": 0.125}}}
    metrics["slices"]["cold_items"] |= {"among_cold": 0.75}
    (run / "metrics.json").write_text(json.dumps(metrics))
    other = {"users": 5, "ndcg@10": 0.5, "standing": {"baseline": "text"}, "baselines": {"text": {"ndcg@10": 0.375}}}
    (run / "metrics_on_office.json").write_text(json.dumps(other))
    values = {"trained": 0.25, "untrained": 0.2}
    kept = {"chosen": "trained", "valid_ndcg@10": values, "difference": 0.05, "standard_error": None, "queries": 1}
    (run / "manifest.json").write_text(json.dumps({"score_weights": kept}))
    page = run_report(run, data)
    table = page[page.index("<h2>Generalisation</h2>") :].partition("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert rows == [
        ["all", "all users", "9", "0.2500", "0.1250", "+0.1250"],
        ["popularity of the target", "hot", "9", "0.1875", "–", "–"],
        ["step to the target", "never", "9", "0.1875", "0.0391", "+0.1484"],
        ["activity of the user", "hot", "9", "0.1875", "–", "–"],
        ["activity of the user", "warm", "9", "0.1875", "–", "–"],
        ["cold start", "new items, among all", "3", "0.0625", "–", "–"],
        ["cold start", "new items, among themselves", "3", "0.7500", "–", "–"],
        ["other data", "office", "5", "0.5000", "0.3750", "+0.1250"],
    ]
    assert "Kept on validation: trained (ndcg@10 0.2000; trained +0.0500; 1 users)." in page


def test_the_page_of_a_fold_has_the_windows_of_all_folds_that_were_measured(evaluated, tmp_path):
    run, _, metrics = evaluated
    rows = [(f"u{t % 5}", f"i{t % 7}", 1_600_000_000 + 86_400 * t) for t in range(100)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    folds = prepare_folds(log, None, tmp_path / "folds", folds=3)
    standing = {"baseline": "text", "difference": 0.125, "standard_error": 0.0625, "verdict": "ahead"}
    for number, (fold, value) in enumerate(zip(folds[:2], (0.25, 0.5), strict=True)):
        home = run if number else tmp_path / "of another name"
        home.mkdir(exist_ok=True)
        (home / "manifest.json").write_text(json.dumps({"data": fold.manifest["fingerprint"]}))
        found = {"ndcg@10": value, "users": 9, "intervals": {"ndcg@10": [0.1, 0.7]}, "standing": standing}
        found["baselines"] = {"text": {"ndcg@10": 0.125 if number else 0.25}}
        (home / "metrics.json").write_text(json.dumps({**metrics, **found, "protocol": {"part": "test"}}))
    page = run_report(run, folds[1])
    rows = re.findall(r"<tr>\s*<td[^>]*>time</td>(.*?)</tr>", page, re.DOTALL)
    assert [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows] == [
        ["fold-1, from 2020-11-22", "9", "0.2500 (0.1000 to 0.7000)", "0.2500 text", "+0.1250 ± 0.0625"],
        ["fold-2, from 2020-12-02", "9", "0.5000 (0.1000 to 0.7000)", "0.1250 text", "+0.1250 ± 0.0625"],
        ["mean of 2 folds", "18", "0.3750 ± 0.1250", "0.1875", "+0.1875 ± 0.1875"],
    ]
    (tmp_path / "of another name" / "metrics.json").unlink()
    assert "fold-2" not in run_report(run, folds[1])  # a single window says no more than the page itself


def test_a_sigmoid_head_has_its_calibration_and_no_lists(evaluated):
    run, data, _ = evaluated
    row = {"low": 0.0, "high": 0.5, "count": 3, "probability": 0.2, "positive_rate": 0.3}
    metrics = {"auc": 0.75, "users": 9, "items": 7, "protocol": {"part": "test"}, "calibration": [row], "baselines": {}}
    (run / "other.json").write_text(json.dumps(metrics))
    page = run_report(run, data, run / "other.json")
    assert "<h2>Calibration</h2>" in page and "0.75" in page and "<h2>Examples</h2>" not in page


def test_a_run_without_metrics_is_refused(evaluated):
    run, data, _ = evaluated
    (run / "metrics.json").unlink()
    (run / "history.csv").unlink()
    with pytest.raises(InvalidInput, match="tfrec evaluate --run"):
        run_report(run, data)


def test_each_damaged_file_is_told_with_its_path_and_a_cure(evaluated, tmp_path):
    run, data, _ = evaluated
    found = outcomes(run, lambda folder: run_report(folder, data), tmp_path / "scratch")
    assert {name for name, _ in passed(found)} <= {"config.yaml", "history.csv"}  # shown line by line, as they are
    for (name, _), message in found.items():
        assert message is None or (name in message and "again" in message), (name, message)


def test_explanations_and_how_true_they_are_are_shown_where_they_were_measured(evaluated):
    run, data, _ = evaluated
    assert "How true" not in run_report(run, data)
    names = ("fall@1", "fall@3", "fall@5", "deletion_area")
    method = {name: {"mean": 0.0625, "low": 0.03125, "high": 0.125} for name in names}
    ratio = {"mean": 2.5, "low": 2.25, "high": None}
    found = {
        "users": 9,
        "methods": {"leave-one-out": method, "recency": method},
        "best_other": "recency",
        "ratios": {"random": {**ratio, "high": 2.75}, "best_other": ratio},
        "counterfactuals": {"found": {**ratio, "mean": None}, "size": None},
        "randomised": {"mean": -0.125, "low": -0.25, "high": 0.0},
        "served_area": ratio,
        "slices": {"activity": {"hot": {"users": 3, "leave-one-out": method["fall@1"]}}},
    }
    (run / "faithfulness.json").write_text(json.dumps(found))
    reasons = {"user_id": ["u1"], "sentence_en": ["“Tea”, because"], "parts": [{"network": 0.5, "repeats": -0.25}]}
    pl.DataFrame(reasons).write_parquet(run / "explanations.parquet")
    page = run_report(run, data)
    for shown in (
        "How true explanations are", "0.062 (0.031 to 0.125)", "2.500 (2.250 to 2.750) times as far", "recency",
        "Fall without three events, by activity", "network +0.50, repeats -0.25", "“Tea”, because",
    ):  # fmt: skip
        assert shown in page


def test_rules_are_shown_with_their_fidelity_and_the_absence_of_any_too(evaluated):
    run, data, _ = evaluated
    rule = {
        "sentence_en": "People with “<b>Tea</b>” in their history get “Pot” first.", "users": 40,
        "agree": {"mean": 0.75, "low": 0.5, "high": 0.875}, "everyone": 0.25,
        "lift": {"mean": 0.5, "low": 0.125, "high": 0.625},
    }  # fmt: skip
    (run / "surrogate.json").write_text(json.dumps({"rules": [rule], "sentence_en": "These rules speak of 84%."}))
    page = run_report(run, data)
    for shown in (
        "The model in rules", "“&lt;b&gt;Tea&lt;/b&gt;”", "0.750 (0.500 to 0.875)", "0.250", "0.500 (0.125 to 0.625)",
        "These rules speak of 84%.",
    ):  # fmt: skip
        assert shown in page
    (run / "surrogate.json").write_text(json.dumps({"rules": [], "sentence_en": "No rule was found."}))
    assert "No rule was found." in run_report(run, data)
