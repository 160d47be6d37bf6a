"""`experiment_report`: an HTML page with the verdict in words, followed by all results behind it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tfrec.experiments.ab_test.analyse import AnalysisResult
from tfrec.experiments.ab_test.decide import decide
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import bars, forest

SIMULATED = "These logs were SIMULATED. Nothing here was measured on people."
_HEADLINES = {
    "do not decide": "do not decide: the data are not valid.",
    "ship": "ship it.",
    "stop": "stop it: it does harm.",
    "continue": "continue: the result is not known yet.",
    "no difference": "no difference was found.",
}

_COLUMNS = (
    *("metric", "role", "users", "control", "treatment", "difference", "low", "high", "relative", "p", "p_adjusted"),
    *("sequential_low", "sequential_high", "sequential_p", "variance_reduction", "status"),
)


READING = ("exposures", "outcomes", "users", "earliest", "latest")
"""Options of how the logs are read, which are no part of the plan."""


def experiment_report(result: AnalysisResult) -> str:
    """Renders a self-contained HTML page. The same result gives the same bytes."""
    title = f"Experiment {result.spec.name}" + (" (SIMULATED)" if result.spec.simulated else "")
    sections = [*_decisions(result), *_effects(result), _bayes(result), *_segments(result), *_data(result)]
    return render_report(title, sections)


def _decisions(result: AnalysisResult) -> list[Section]:
    simulated = [SIMULATED] if result.spec.simulated else []
    return [
        Section(f"{decision.arm}: {_HEADLINES[decision.verdict]}", [*simulated, *decision.reasons])
        for decision in decide(result)
    ]


def _effects(result: AnalysisResult) -> list[Section]:
    level = f"{1 - result.spec.alpha:.0%}"
    real = result.effects.filter(pl.col("status") == "ok")
    sections = []
    for arm in list(result.spec.arms)[1:]:
        rows = real.filter((pl.col("arm") == arm) & pl.col("relative_low").is_not_null()).to_dicts()
        chart = forest(
            f"{arm} against {result.spec.control}: relative difference, {level} interval",
            [(row["metric"], row["relative"], row["relative_low"], row["relative_high"]) for row in rows],
        )
        note = (
            "p_adjusted is corrected over the primary metrics, and separately over the secondary ones "
            f"({result.spec.correction}). low and high are valid once, at the planned number of users; the confidence "
            "sequence (sequential_low, sequential_high) is valid at any time. variance_reduction is the share of the "
            "variance that CUPED removed."
        )
        part = result.effects.filter(pl.col("arm") == arm).select(_COLUMNS)
        sections.append(Section(f"Effects of {arm}", [note], _COLUMNS, _cells(part), [chart] if rows else []))
    return sections


def _bayes(result: AnalysisResult) -> Section:
    note = (
        f"The prior for relative effects is normal around 0 with a standard deviation of {result.spec.prior_sd:.1%}. "
        "expected_loss is the mean loss from choosing the arm, in the unit of the metric."
    )
    columns = ["arm", "metric", "probability_better", "expected_loss"]
    real = result.effects.filter(pl.col("status") == "ok").select(columns)
    return Section("A Bayesian view", [note], columns, _cells(real))


def _segments(result: AnalysisResult) -> list[Section]:
    if not result.segments.height:
        return []
    note = (
        "Effects in segments of the users. interaction_p tests whether the effect is the same in all values of a "
        "segment; p_adjusted (Benjamini-Hochberg) is corrected for the number of rows. Treat an effect in a segment as "
        "a hint for the next experiment."
    )
    real = result.segments.filter(pl.col("difference").is_not_null()).to_dicts()
    rows = [(f"{r['metric']}, {r['segment']} {r['value']}", r["difference"], r["low"], r["high"]) for r in real]
    return [
        Section(
            "Segments",
            [note],
            result.segments.columns,
            _cells(result.segments),
            [forest("Difference by segment", rows)],
        )
    ]


def _data(result: AnalysisResult) -> list[Section]:
    ratio = result.sample_ratio
    days = ", ".join(result.missing_days[:10]) + (" …" if len(result.missing_days) > 10 else "")
    paragraphs = [
        f"Sample ratio: p = {ratio['p']:.3g}, {'as planned' if ratio['ok'] else 'NOT as planned'}.",
        f"Days without any outcome: {len(result.missing_days)}{f' ({days})' if days else ''}.",
    ]
    chart = bars("Users of each arm", [(arm, float(users)) for arm, users in ratio["users"].items()])
    shown = result.spec.model_dump(exclude={"metrics", *READING})
    spec = [[key, str(value)] for key, value in shown.items()]
    metrics = [list(metric.model_dump().values()) for metric in result.spec.metrics]
    return [
        Section("Data", paragraphs, ["what", "count"], list(result.counts.items()), [chart]),
        Section("Plan", headers=["option", "value"], rows=spec),
        Section("Metrics", headers=list(result.spec.metrics[0].model_dump()), rows=metrics),
    ]


def _cells(frame: pl.DataFrame) -> Sequence[Sequence[object]]:
    return [["–" if value is None else value for value in row] for row in frame.iter_rows()]
