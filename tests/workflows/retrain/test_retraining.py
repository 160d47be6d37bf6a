"""Retraining runs on a small log: what a run measures, serves and keeps."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
from datetime import timedelta

import polars as pl
import pytest

from tests.workflows.retrain.ring import START, USERS, log


@pytest.mark.slow
def test_the_first_run_is_compared_with_popularity_and_served(first):
    outcome = first.outcome
    assert outcome["status"] == "promoted" and outcome["version"] == 1 and outcome["start"] == "anew"
    assert outcome["gate"]["rival"] == "popularity" and outcome["gate"]["users"] == USERS
    assert [row["metric"] for row in outcome["gate"]["metrics"]] == ["ndcg@10", "recall@10", "coverage@10"]
    assert first.served() == 1 and first.versions() == [1]
    json.dumps(outcome)


@pytest.mark.slow
def test_the_next_run_starts_warm_and_is_served_under_the_next_version(after):
    outcome = after.retrain(12)
    assert outcome["status"] == "promoted" and outcome["start"] == "warm"
    assert (outcome["version"], outcome["previous"], outcome["new_events"]) == (2, 1, 2 * USERS)
    assert outcome["gate"]["rival"] == "champion" and outcome["gate"]["new_to_champion"]
    assert after.served() == 2 and after.versions() == [1, 2]
    run = after.home / "nights" / "0002" / "run"
    assert "0001/run" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_a_run_without_new_events_changes_nothing_and_says_so(quick, capsys):
    before = (quick.home / "state.json").read_text()
    outcome = quick.retrain(10)
    assert outcome == {"status": "nothing_new", "night": 2, "version": 1, "events": 400, "new_events": 0}
    assert "No new events" in capsys.readouterr().err
    assert (quick.home / "state.json").read_text() == before
    assert [path.name for path in (quick.home / "nights").iterdir()] == ["0001"]


@pytest.mark.slow
def test_a_challenger_that_does_not_pass_the_gate_is_not_exported(quick):
    outcome = quick.retrain(12, "retrain.min_users=1000")
    assert outcome["status"] == "refused" and outcome["version"] == 1
    assert outcome["gate"]["reasons"] == ["only 40 users in the newest window, expected 1000"]
    assert quick.served() == 1 and quick.versions() == [1]
    assert quick.retrain(12, "retrain.min_users=1000")["status"] == "nothing_new"
    outcome = quick.retrain(14)
    assert outcome["status"] == "promoted" and outcome["new_events"] == 4 * 40  # since the champion's, not the refused
    assert quick.retrain(14, force=True)["status"] == "promoted"


@pytest.mark.slow
def test_a_worse_challenger_is_not_served(after):
    untrained = ("training.learning_rate=1e-9", "model.neighbours=0", "model.repeat_bias=false")
    outcome = after.retrain(12, *untrained, anew=True)
    assert outcome["status"] == "refused" and outcome["start"] == "anew" and outcome["version"] == 1
    (row,) = [row for row in outcome["gate"]["metrics"] if row["metric"] == "ndcg@10"]
    assert row["challenger"] < row["champion"] and not row["holds"]
    assert any("ndcg@10" in reason for reason in outcome["gate"]["reasons"])
    assert after.served() == 1 and after.versions() == [1]
    assert [one["version"] for one in after.state().champions] == [1]


@pytest.mark.slow
def test_new_event_kinds_are_trained_from_scratch(after):
    events = log(12)
    shared = events.filter(pl.col("timestamp") >= START + timedelta(days=10)).head(2)
    events = pl.concat([events, shared.with_columns(event=pl.lit("share"))])
    outcome = after.retrain(12, events=events)
    assert outcome["start"] == "anew" and outcome["status"] == "promoted"
    assert outcome["gate"]["rival"] == "champion"
