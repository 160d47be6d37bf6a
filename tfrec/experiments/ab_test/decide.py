"""`decide`: turns the results of an experiment into one verdict per arm, with reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tfrec.experiments.ab_test.analyse import AnalysisResult

BOTH_ARMS = 0.01
"""Share of users in more than one arm above which the assignment counts as broken. A convention: a few are normal, as
people share devices and accounts."""


@dataclass(frozen=True)
class Decision:
    """A verdict on one arm.

    Attributes:
        arm: Name of the arm.
        verdict: "do not decide" (the data are broken), "ship", "stop" (the arm does harm), "continue" (not yet known)
            or "no difference" (the planned number of users is reached without a significant effect).
        reasons: Sentences: what is broken, or the results of the primary metrics and then of the guardrails.
    """

    arm: str
    verdict: str
    reasons: tuple[str, ...]


def decide(result: AnalysisResult) -> list[Decision]:
    """One decision for each arm except the control.

    Before the planned number of users only the always-valid sequence counts, so that early checks are safe; from then
    on the corrected fixed-horizon p-value counts. The rules apply in this order: broken data (sample-ratio mismatch,
    users in both arms, or no primary metric that can be estimated) prevent a decision; harm (a broken guardrail or a
    worse primary metric) stops the arm; an unclear guardrail keeps a good arm from shipping.
    """
    return [_decide(result, arm) for arm in list(result.spec.arms)[1:]]


def _decide(result: AnalysisResult, arm: str) -> Decision:
    broken = broken_data(result)
    primary = result.effects.filter((pl.col("arm") == arm) & (pl.col("role") == "primary")).to_dicts()
    usable = [row for row in primary if row["status"] == "ok"]
    if not usable:
        states = ", ".join(f"{row['metric']} is {row['status']}" for row in primary) or "the plan names none"
        broken.append(f"There is no primary metric to decide by: {states}.")
    if broken:
        return Decision(arm, "do not decide", tuple(broken))
    better = {metric.name: metric.better for metric in result.spec.metrics}
    directions = {row["metric"]: _direction(row, better[row["metric"]], result) for row in usable}
    reasons = [_effect_sentence(row, directions[row["metric"]], result) for row in usable]
    guardrails = dict(result.guardrails.filter(pl.col("arm") == arm).select("metric", "verdict").iter_rows())
    reasons += [f"Guardrail {name}: {_guardrail_phrase(verdict)}." for name, verdict in guardrails.items()]
    return Decision(arm, _verdict(directions, guardrails, result), tuple(reasons))


def _verdict(directions: Mapping[str, str], guardrails: Mapping[str, str], result: AnalysisResult) -> str:
    if "broken" in guardrails.values() or "worse" in directions.values():
        return "stop"
    if "better" in directions.values():
        return "continue" if "unclear" in guardrails.values() else "ship"
    return "no difference" if result.complete else "continue"


def broken_data(result: AnalysisResult) -> list[str]:
    """Sentences about problems that invalidate the whole comparison; empty if there are none."""
    problems = []
    ratio = result.sample_ratio
    if not ratio["ok"]:
        sizes = ", ".join(f"{arm} {users:,}" for arm, users in ratio["users"].items())
        problems.append(
            f"The arms do not have their planned shares (p = {ratio['p']:.2g}; {sizes}): users are missing in one of "
            "them for a reason, which may also explain any difference. Find the reason first."
        )
    mixed, total = result.counts["users_in_both_arms"], result.users + result.counts["users_in_both_arms"]
    if mixed > BOTH_ARMS * total:
        problems.append(f"{mixed:,} of {total:,} users were shown more than one arm: the assignment is broken.")
    return problems


def _direction(row: Mapping[str, Any], better: str, result: AnalysisResult) -> str:
    """ "better", "worse" or "unknown"."""
    if result.complete:
        significant = row["p_adjusted"] <= result.spec.alpha
    else:
        # Bonferroni over the primary metrics and arms keeps the sequences valid together.
        count = sum(metric.role == "primary" for metric in result.spec.metrics) * (len(result.spec.arms) - 1)
        significant = row["sequential_p"] * count <= result.spec.alpha
    if not significant:
        return "unknown"
    return "better" if (row["difference"] > 0) == (better == "higher") else "worse"


def _effect_sentence(row: Mapping[str, Any], direction: str, result: AnalysisResult) -> str:
    low, high = ("low", "high") if result.complete else ("sequential_low", "sequential_high")
    kind = "interval" if result.complete else "confidence sequence, safe to check early"
    relative = "" if row["relative"] is None else f" ({row['relative']:+.2%})"
    figures = (
        f"{row['control']:.4g} to {row['treatment']:.4g}, {row['difference']:+.4g}{relative}; "
        f"{1 - result.spec.alpha:.0%} {kind} {row[low]:.4g} to {row[high]:.4g}"
    )
    phrase = {"better": "is better", "worse": "is worse", "unknown": "shows no clear difference"}[direction]
    planned = "" if result.complete else f" So far {result.users:,} of {result.spec.planned_users:,} planned users."
    return f"{row['metric']} {phrase}: {figures}.{planned}"


def _guardrail_phrase(verdict: str) -> str:
    return {
        "holds": "holds; a loss beyond its margin is ruled out",
        "broken": "broken; the loss is beyond its margin",
        "unclear": "unclear; a loss beyond its margin is not ruled out yet",
    }[verdict]
