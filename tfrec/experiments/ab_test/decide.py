"""What the figures of an experiment say, in words: one verdict an arm, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tfrec.experiments.ab_test.analyse import AnalysisResult

BOTH_ARMS = 0.01
"""Share of users in more than one arm above which the assignment is broken."""


@dataclass(frozen=True)
class Decision:
    """A verdict on one arm.

    Attributes:
        arm: Which.
        verdict: "do not decide" (the data are broken), "ship", "stop" (it harms), "continue" (not yet known) or "no
            difference" (the planned users are there, and no effect was seen).
        reasons: Sentences, the decisive one first.
    """

    arm: str
    verdict: str
    reasons: tuple[str, ...]


def decide(result: AnalysisResult) -> list[Decision]:
    """One decision for each arm but the control.

    Before the planned number of users only the always-valid sequence counts, so that looking early is safe; from then
    on the corrected fixed-horizon p-value does. Broken data (sample-ratio mismatch, users in both arms, no primary
    metric that can be estimated) decide first, then harm (a broken guardrail or a worse primary metric); an unclear
    guardrail keeps a good arm from shipping.
    """
    return [_decide(result, arm) for arm in list(result.spec.arms)[1:]]


def _decide(result: AnalysisResult, arm: str) -> Decision:
    broken = broken_data(result)
    primary = result.effects.filter((pl.col("arm") == arm) & (pl.col("role") == "primary")).to_dicts()
    usable = [row for row in primary if row["status"] == "ok"]
    if not usable:
        states = ", ".join(f"{row['metric']} is {row['status']}" for row in primary) or "none was named"
        broken.append(f"There is no primary metric to decide by: {states}.")
    if broken:
        return Decision(arm, "do not decide", tuple(broken))
    better = {metric.name: metric.better for metric in result.spec.metrics}
    moved = {row["metric"]: _moved(row, better[row["metric"]], result) for row in usable}
    words = [_words(row, moved[row["metric"]], result) for row in usable]
    guards = dict(result.guardrails.filter(pl.col("arm") == arm).select("metric", "verdict").iter_rows())
    words += [f"Guardrail {name}: {_guard_words(verdict)}." for name, verdict in guards.items()]
    return Decision(arm, _verdict(moved, guards, result), tuple(words))


def _verdict(moved: Mapping[str, str], guards: Mapping[str, str], result: AnalysisResult) -> str:
    if "broken" in guards.values() or "worse" in moved.values():
        return "stop"
    if "better" in moved.values():
        return "continue" if "unclear" in guards.values() else "ship"
    return "no difference" if result.complete else "continue"


def broken_data(result: AnalysisResult) -> list[str]:
    """Sentences for what makes the comparison itself invalid; empty when nothing does."""
    found = []
    ratio = result.sample_ratio
    if not ratio["ok"]:
        sizes = ", ".join(f"{arm} {users:,}" for arm, users in ratio["users"].items())
        found.append(
            f"The arms do not have their planned shares (p = {ratio['p']:.2g}; {sizes}): users are missing in one of "
            "them for a reason, and any difference may be that reason. Find it before reading on."
        )
    mixed, total = result.counts["users_in_both_arms"], result.users + result.counts["users_in_both_arms"]
    if mixed > BOTH_ARMS * total:
        found.append(f"{mixed:,} of {total:,} users were shown more than one arm: the assignment does not hold.")
    return found


def _moved(row: Mapping[str, Any], better: str, result: AnalysisResult) -> str:
    """ "better", "worse" or "unknown"."""
    if result.complete:
        seen = row["p_adjusted"] <= result.spec.alpha
    else:
        # Several primary metrics are several chances; Bonferroni keeps the sequences valid together.
        count = sum(metric.role == "primary" for metric in result.spec.metrics) * (len(result.spec.arms) - 1)
        seen = row["sequential_p"] * count <= result.spec.alpha
    if not seen:
        return "unknown"
    return "better" if (row["difference"] > 0) == (better == "higher") else "worse"


def _words(row: Mapping[str, Any], moved: str, result: AnalysisResult) -> str:
    low, high = ("low", "high") if result.complete else ("sequential_low", "sequential_high")
    kind = "interval" if result.complete else "confidence sequence, safe to look at early"
    relative = "" if row["relative"] is None else f" ({row['relative']:+.2%})"
    figures = (
        f"{row['control']:.4g} to {row['treatment']:.4g}, {row['difference']:+.4g}{relative}; "
        f"{1 - result.spec.alpha:.0%} {kind} {row[low]:.4g} to {row[high]:.4g}"
    )
    said = {"better": "is better", "worse": "is worse", "unknown": "shows no clear difference"}[moved]
    planned = "" if result.complete else f" So far {result.users:,} of {result.spec.planned_users:,} planned users."
    return f"{row['metric']} {said}: {figures}.{planned}"


def _guard_words(verdict: str) -> str:
    return {
        "holds": "holds, a loss beyond its margin is ruled out",
        "broken": "broken, the loss is beyond its margin",
        "unclear": "unclear, a loss beyond its margin is not ruled out yet",
    }[verdict]
