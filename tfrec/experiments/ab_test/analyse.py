"""`analyse`: computes effects, guardrails, segments and data checks from exposure and outcome logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.data.reading import collect, read_input, require
from tfrec.data.reading.column_types import with_types
from tfrec.data.reading.identifiers import as_id
from tfrec.errors import InvalidInput
from tfrec.evaluation.significance import adjust
from tfrec.experiments.ab_test.estimates import SCHEMA, estimate, winsorised
from tfrec.experiments.ab_test.logs import UserTable, read_log, user_table
from tfrec.experiments.design.assignment import ARM
from tfrec.experiments.design.spec import ExperimentSpec

SRM_ALPHA = 0.001
"""Below this p-value the sizes of the arms contradict the plan, and no result of the experiment is valid. The usual
strict level of sample-ratio checks, which run often and stop an experiment on a false alarm."""


@dataclass(frozen=True)
class AnalysisResult:
    """The result of `analyse`.

    Attributes:
        spec: The experiment as planned.
        effects: One row per arm and metric: arm, metric, role, users, the columns of `estimates.SCHEMA`, and p_adjusted
            (p corrected over the primary metrics, and separately over the secondary ones; guardrails are not
            corrected).
        guardrails: arm, metric, margin and verdict: "holds" (the interval, or before the planned number of users the
            confidence sequence, rules out a loss beyond the margin), "broken" (the loss is beyond the margin) or
            "unclear".
        segments: arm, metric, segment, value, users, difference, low, high, relative, p, p_adjusted, and interaction_p
            of the test that the effect is the same for all values of the segment.
        sample_ratio: p (chi-square test of the users against the planned shares), ok, and users of each arm.
        counts: Rows read and left out (see `UserTable`).
        missing_days: Days without any outcome.
    """

    spec: ExperimentSpec
    effects: pl.DataFrame
    guardrails: pl.DataFrame
    segments: pl.DataFrame
    sample_ratio: dict[str, Any]
    counts: dict[str, int]
    missing_days: list[str]

    @property
    def users(self) -> int:
        """Number of users in all arms."""
        return self.counts["users"]

    @property
    def complete(self) -> bool:
        """Whether the planned number of users is reached, so that the fixed-horizon test is valid."""
        return self.users >= self.spec.planned_users


def analyse(spec: ExperimentSpec, exposures: Any, outcomes: Any, users: Any = None) -> AnalysisResult:
    """Analyses an experiment from its logs. The user is the unit of randomisation and of variance.

    Args:
        spec: The experiment.
        exposures: Log with user_id, arm, timestamp. `read_log` lists the accepted sources.
        outcomes: Log with user_id, event, timestamp, and value if a metric sums it.
        users: Table with user_id and the columns named in `spec.segments`; required if there are segments.

    Raises:
        InvalidInput: A log cannot be read, or the logs do not match each other or the experiment.
        Unavailable: The `experiments` extra is not installed.
    """
    table = user_table(spec, exposures, outcomes)
    return analyse_users(spec, table, None if users is None else _table_of(users, spec))


def _table_of(users: Any, spec: ExperimentSpec) -> pl.DataFrame:
    """The users' columns, with ids as everywhere."""
    if hasattr(users, "pl"):
        users = users.pl()
    if isinstance(users, str) and "::" in users:
        users = read_log(users, "users")
    given = read_input(users, "users", spec.users)
    require(given.frame, "users", [schema.USER_ID])
    ids = as_id(schema.USER_ID, given.frame.collect_schema()[schema.USER_ID])
    table = collect(given.frame.with_columns(ids), "users")
    return table if given.typed else with_types(table, schema.USER_ID)


def analyse_users(spec: ExperimentSpec, table: UserTable, users: pl.DataFrame | None = None) -> AnalysisResult:
    """Analyses an existing user table.

    Args:
        spec: The experiment.
        table: Of `user_table`.
        users: As in `analyse`, already read.
    """
    frame = table.frame
    for metric in spec.metrics:
        frame = winsorised(frame, metric)
    sizes = dict(frame[ARM].value_counts().iter_rows())
    rows = [
        {"arm": arm, "metric": metric.name, "role": metric.role, "users": sizes[spec.control] + sizes[arm]}
        | estimate(frame, metric, spec, arm)
        for arm in list(spec.arms)[1:]
        for metric in spec.metrics
    ]
    effects = _frame(rows, {"arm": pl.String, "metric": pl.String, "role": pl.String, "users": pl.Int64})
    return AnalysisResult(
        spec=spec,
        effects=_corrected(effects, spec),
        guardrails=_guardrails(effects, spec, table.counts["users"] >= spec.planned_users),
        segments=_segments(frame, spec, users),
        sample_ratio=sample_ratio(spec, sizes),
        counts=table.counts,
        missing_days=table.missing_days,
    )


def sample_ratio(spec: ExperimentSpec, sizes: dict[str, int]) -> dict[str, Any]:
    """Tests whether the arms have their planned shares (Fabijan et al., 2019), by a chi-square test over all arms.

    Args:
        spec: The experiment.
        sizes: Users of each arm.

    Returns:
        p, ok (p ≥ 0.001), and users of each arm.
    """
    from scipy.stats import chisquare

    observed = [sizes.get(arm, 0) for arm in spec.arms]
    p = float(chisquare(observed, [sum(observed) * share for share in spec.arms.values()]).pvalue)
    return {"p": p, "ok": p >= SRM_ALPHA, "users": dict(zip(spec.arms, observed))}


def _frame(rows: Sequence[dict[str, Any]], keys: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**keys, **SCHEMA})


def _corrected(effects: pl.DataFrame, spec: ExperimentSpec) -> pl.DataFrame:
    parts = []
    for role in ("primary", "secondary", "guardrail"):
        part = effects.filter(pl.col("role") == role)
        p = part["p"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        corrected = pl.Series("p_adjusted", adjust(p, "none" if role == "guardrail" else spec.correction), pl.Float64)
        parts.append(part.with_columns(corrected.fill_nan(None)))
    return pl.concat(parts)


def _guardrails(effects: pl.DataFrame, spec: ExperimentSpec, complete: bool) -> pl.DataFrame:
    metrics = {metric.name: metric for metric in spec.metrics}
    rows = []
    for row in effects.filter(pl.col("role") == "guardrail").to_dicts():
        metric = metrics[row["metric"]]
        sign = 1 if metric.better == "higher" else -1
        bounds = [row["relative_low"], row["relative_high"]]
        if not complete and row["control"]:  # before the planned users: the sequence, relative to the current control
            bounds = [row["sequential_low"] / abs(row["control"]), row["sequential_high"] / abs(row["control"])]
        if row["status"] != "ok" or None in bounds:
            verdict = "unclear"
        else:
            worst, best = sorted(sign * bound for bound in bounds)
            verdict = "holds" if worst > -metric.margin else "broken" if best < -metric.margin else "unclear"
        rows.append({"arm": row["arm"], "metric": row["metric"], "margin": metric.margin, "verdict": verdict})
    return pl.DataFrame(
        rows, schema={"arm": pl.String, "metric": pl.String, "margin": pl.Float64, "verdict": pl.String}
    )


_SEGMENT_COLUMNS = ("difference", "low", "high", "relative", "p")


def _segments(frame: pl.DataFrame, spec: ExperimentSpec, users: pl.DataFrame | None) -> pl.DataFrame:
    keys = {name: pl.String for name in ("arm", "metric", "segment", "value")}
    types = {**keys, "users": pl.Int64, **{name: pl.Float64 for name in (*_SEGMENT_COLUMNS, "interaction_p")}}
    if not spec.segments:
        return pl.DataFrame(schema={**types, "p_adjusted": pl.Float64})
    merged = _with_segments(frame, spec, users)
    rows: list[dict[str, Any]] = []
    for segment in spec.segments:
        for metric in (metric for metric in spec.metrics if metric.role == "primary"):
            for arm in list(spec.arms)[1:]:
                rows += _segment_rows(merged, spec, metric.name, arm, segment)
    table = pl.DataFrame(rows, schema=types)
    p = table["p"].fill_null(float("nan")).to_numpy()
    return table.with_columns(pl.Series("p_adjusted", adjust(p, "benjamini-hochberg")).fill_nan(None))


def _segment_rows(
    merged: pl.DataFrame, spec: ExperimentSpec, name: str, arm: str, segment: str
) -> list[dict[str, Any]]:
    metric = next(metric for metric in spec.metrics if metric.name == name)
    estimates = []
    for value in sorted(merged[segment].unique()):
        part = merged.filter((pl.col(segment) == value) & pl.col(ARM).is_in([spec.control, arm]))
        row = estimate(part, metric, spec, arm)
        estimates.append({"value": value, "users": part.height, **row})
    interaction = _interaction_p(estimates)
    return [
        {
            "arm": arm,
            "metric": name,
            "segment": segment,
            "value": row["value"],
            "users": row["users"],
            **{column: row[column] for column in _SEGMENT_COLUMNS},
            "interaction_p": interaction,
        }
        for row in estimates
    ]


def _interaction_p(rows: Sequence[dict[str, Any]]) -> float | None:
    """The p-value of Cochran's Q for the hypothesis that all values of the segment have the same effect."""
    from scipy.stats import chi2

    real = [(row["difference"], row["standard_error"]) for row in rows if row["status"] == "ok"]
    if len(real) < 2:
        return None
    weights = [1 / error**2 for _, error in real]
    centre = sum(w * effect for w, (effect, _) in zip(weights, real)) / sum(weights)
    q = sum(w * (effect - centre) ** 2 for w, (effect, _) in zip(weights, real))
    return float(chi2.sf(q, len(real) - 1))


def _with_segments(frame: pl.DataFrame, spec: ExperimentSpec, users: pl.DataFrame | None) -> pl.DataFrame:
    if users is None:
        raise InvalidInput(
            f"The experiment has segments ({', '.join(spec.segments)}), but no users were given. Pass a users table."
        )
    missing = [name for name in (schema.USER_ID, *spec.segments) if name not in users.columns]
    if missing:
        raise InvalidInput(f"users have no column {missing[0]!r}; found {', '.join(map(repr, users.columns))}.")
    clash = [name for name in spec.segments if name in frame.columns]
    if clash:
        raise InvalidInput(
            f"Segment {clash[0]!r} has the same name as a metric or column of the analysis. Rename the segment."
        )
    chosen = users.select(pl.col(schema.USER_ID).cast(pl.String), pl.col(*spec.segments).cast(pl.String))
    repeated = chosen.height - chosen[schema.USER_ID].n_unique()
    if repeated:
        raise InvalidInput(f"users have {repeated} rows with a repeated user_id. Keep one row per user.")
    merged = frame.join(chosen, on=schema.USER_ID, how="left")
    if merged[spec.segments[0]].null_count() == merged.height:
        raise InvalidInput(
            f"None of {merged.height} users of the experiment is in the users table. Check that the ids are the same."
        )
    return merged.with_columns(pl.col(*spec.segments).fill_null("(unknown)"))
