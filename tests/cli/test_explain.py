"""`tfrec explain` on the command line."""

from pathlib import Path
from types import SimpleNamespace


def test_the_options_reach_the_library(tfrec, monkeypatch, tmp_path):
    import tfrec as library

    calls = []

    def explain(*arguments, **options):
        import polars as pl

        calls.append((arguments, options))
        return pl.DataFrame({"user_id": ["a", "a", "b"]})

    monkeypatch.setattr("tfrec.explanation.explain_lists.explain", explain)
    monkeypatch.setattr(library, "load_run", lambda path: SimpleNamespace(with_values=lambda values: ("run", values)))
    out = tmp_path / "why.parquet"
    arguments = ["--run", "r", "--data", "d", "--out", out, "--item", "i1", "--item", "i2", "--k", 3]
    code, said, error = tfrec("explain", *arguments, "--ranker", "second", "--set", "retrieval.exclude_seen=false")
    assert code == 0 and "Wrote 3 rows for 2 users" in said, error
    (given,) = calls
    assert given[0][0] == ("run", ["retrieval.exclude_seen=false"]) and given[0][2] == 3
    expected = {"users": None, "items": ["i1", "i2"], "counterfactuals": 5, "ranker": Path("second")}
    assert given[1] == {**expected, "out": out, "force": False}
    assert tfrec("explain", "--run", "r", "--data", "d", "--out", out, "--k", 0)[0] == 2


def test_without_an_output_it_says_what_it_wants(tfrec):
    code, _, error = tfrec("explain", "--run", "r", "--data", "d")
    assert code == 2 and "Expected --out FILE, --faithfulness USERS or --surrogate USERS" in error
    code, _, error = tfrec("explain", "--run", "r", "--data", "d", "--faithfulness", 9, "--surrogate", 9)
    assert code == 2 and "received both" in error
    code, _, error = tfrec("explain", "--run", "r", "--data", "d", "--faithfulness", 9, "--ranker", "second")
    assert code == 2 and "Leave --ranker out" in error


def test_faithfulness_is_measured_and_printed(tfrec, monkeypatch, tmp_path):
    interval = {"mean": 0.5, "low": 0.25, "high": None}
    names = ("fall@1", "fall@3", "fall@5", "deletion_area", "insertion_area")
    found = {
        "users": 7,
        "methods": {"leave-one-out": dict.fromkeys(names, interval)},
        "ratios": {"random": {**interval, "high": 0.75}, "best_other": interval},
        "best_other": "recency",
        "counterfactuals": {"found": interval, "size": 1.5},
        "randomised": interval,
    }
    calls = []
    monkeypatch.setattr(
        "tfrec.explanation.faithfulness.measure.measure_faithfulness",
        lambda *arguments, **options: calls.append(options) or found,
    )
    code, said, error = tfrec("explain", "--run", tmp_path, "--data", "d", "--faithfulness", 7)
    assert code == 0 and "0.5000" in said and "times as far as without three at random" in said, error
    assert calls == [{"users": 7, "k": 10, "out": None, "force": False}]


def test_rules_are_made_and_printed(tfrec, monkeypatch, tmp_path):
    rule = {"sentence_en": "People with “[b]” in their history get “Tea” in their list: 75% of them."}
    calls = []
    monkeypatch.setattr(
        "tfrec.explanation.surrogate.surrogate_rules.surrogate_rules",
        lambda *arguments, **options: calls.append(options) or {"rules": [rule], "sentence_en": "These rules speak."},
    )
    code, said, error = tfrec("explain", "--run", tmp_path, "--data", "d", "--surrogate", 7, "--k", 5)
    assert code == 0 and "People with “[b]” in their history" in said and "These rules speak." in said, error
    assert calls == [{"users": 7, "k": 5, "ranker": None, "out": None, "force": False}] and "surrogate.json" in said
