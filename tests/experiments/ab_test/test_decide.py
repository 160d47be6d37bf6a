"""Decisions follow from the results, and the report states them in words."""

import numpy as np
import polars as pl
import pytest

from tfrec.experiments import ExperimentSpec, analyse, decide, experiment_report

METRICS = [
    {"name": "clicks", "event": "click", "role": "primary"},
    {"name": "buyers", "event": "buy", "aggregate": "any", "role": "guardrail", "margin": 0.9},
    {"name": "revenue", "event": "buy", "aggregate": "sum"},
]


def run(make_logs, lift, planned=800, margin=0.9, better="higher", seed=0, **changes):
    metrics = [{**METRICS[0], "better": better}, {**METRICS[1], "margin": margin}, METRICS[2]]
    spec = ExperimentSpec.from_dict({"name": "e", "metrics": metrics, "planned_users": planned, **changes})
    return analyse(spec, *make_logs(np.random.default_rng(seed), users=800, lift=lift))


@pytest.mark.parametrize(
    "lift, planned, margin, better, verdict",
    [
        (0.3, 800, 0.9, "higher", "ship"),
        (0.3, 800, 0.9, "lower", "stop"),
        (-0.3, 800, 0.9, "higher", "stop"),
        (0.3, 800, 0.0, "higher", "continue"),  # the guardrail is unclear without a margin
        (0.0, 800, 0.9, "higher", "no difference"),
        (0.0, 5000, 0.9, "higher", "continue"),  # too early to conclude that there is no effect
        (0.6, 5000, 0.9, "higher", "ship"),  # early, by the confidence sequence
    ],
)
def test_verdicts(make_logs, lift, planned, margin, better, verdict):
    result = run(make_logs, lift, planned, margin, better)
    assert decide(result)[0].verdict == verdict


def test_the_fixed_interval_does_not_decide_early(make_logs):
    for seed in range(40):
        result = run(make_logs, 0.08, planned=100_000, seed=seed)
        row = result.effects.row(0, named=True)
        if row["p"] < 0.05 < row["sequential_p"]:
            break
    else:
        raise AssertionError("no seed has a small p-value and a wide sequence")
    assert decide(result)[0].verdict == "continue"
    said = decide(result)[0].reasons[0]
    assert "shows no clear difference" in said and "safe to check early" in said


def test_guardrails_hold_break_or_are_unclear(make_logs):
    metric = {"name": "clicks", "event": "click", "role": "guardrail", "margin": 0.05}
    primary = {"name": "revenue", "event": "buy", "aggregate": "sum", "role": "primary"}
    for lift, planned, verdict in (
        (0.4, 800, "holds"),
        (-0.4, 800, "broken"),
        (-0.05, 800, "unclear"),
        (-0.5, 9000, "broken"),
    ):
        spec = ExperimentSpec.from_dict({"name": "e", "metrics": [primary, metric], "planned_users": planned})
        result = analyse(spec, *make_logs(np.random.default_rng(3), users=800, lift=lift))
        assert result.guardrails["verdict"].to_list() == [verdict]


def test_the_report_is_self_contained_and_marks_simulated_data(make_logs):
    users = pl.DataFrame({"user_id": [f"u{i:05d}" for i in range(800)], "country": ["NL", "FR"] * 400})
    metrics = METRICS + [{"name": "never", "event": "refund"}]
    spec = ExperimentSpec.from_dict(
        {"name": "<new>", "metrics": metrics, "segments": ["country"], "planned_users": 800, "simulated": True}
    )
    result = analyse(spec, *make_logs(np.random.default_rng(0), users=800, lift=0.3), users)
    page = experiment_report(result)
    assert "treatment: ship it." in page and "&lt;new&gt; (SIMULATED)" in page and "<new>" not in page
    assert page.count("<svg") == 3 and "http" not in page and "<script" not in page
    assert "constant" in page and "Segments" in page and "clicks is better" in page
    assert experiment_report(result) == page
