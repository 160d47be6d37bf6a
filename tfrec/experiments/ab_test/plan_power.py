"""`plan`: how many users and days an experiment needs, estimated from a past log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.experiments.ab_test.estimates import tea_tasting, winsorised
from tfrec.experiments.ab_test.logs import DAY, read_log, typed, user_table
from tfrec.experiments.design.assignment import ARM
from tfrec.experiments.design.spec import ExperimentSpec, MetricSpec

DURATIONS = (7, 14, 21, 28)  # whole weeks, so that every weekday counts equally
_MANY = 1_000_000


def sample_size(
    mean: float, sd: float, relative_effect: float, *, alpha: float = 0.05, power: float = 0.8, share: float = 0.5
) -> int:
    """The number of users, in both arms together, that a two-sided test needs to detect a relative effect.

    Args:
        mean: float. Mean of the metric over users.
        sd: float. Standard deviation of the metric over users.
        relative_effect: float. E.g. 0.02 for 2%.
        alpha: float. Significance level.
        power: float. Probability of detecting the effect.
        share: float. Share of the users in the treatment.

    Returns:
        int.

    Example:
        >>> sample_size(1.0, 1.0, 0.1)
        3140
    """
    if not mean or sd <= 0 or not relative_effect or not 0 < share < 1:
        raise InvalidInput(
            f"Expected mean, sd, effect and share other than 0, received {mean}, {sd}, {relative_effect}, {share}. "
            "A metric that does not vary, or is 0 on average, has no relative effect to detect."
        )
    library = tea_tasting()
    from tea_tasting.aggr import Aggregates

    metric = library.Mean("m", alpha=alpha, power=power, ratio=share / (1 - share), n_obs=_MANY)
    data = Aggregates(count_=_MANY, mean_={"m": mean}, var_={"m": sd**2})
    return _users_for(_MANY, metric.solve_power(data, "rel_effect_size")[0].rel_effect_size, relative_effect)


def _users_for(users: int, detectable: float, effect: float) -> int:
    """Users needed for `effect`, if `users` detect `detectable`: it falls with the square root of the users."""
    return math.ceil(users * (detectable / effect) ** 2)


def plan(
    spec: ExperimentSpec, outcomes: Any, *, effect: float | None = None, durations: Sequence[int] = DURATIONS
) -> pl.DataFrame:
    """Estimates from a past log the users and the smallest detectable effect of an experiment, by duration.

    For each duration, every user with an event in the last days of the log counts as exposed at their first event in
    these days; CUPED uses the days before. `ramp` and `traffic` scale the number of users.

    Args:
        spec: The planned experiment.
        outcomes: Log with user_id, event, timestamp, and value if a metric sums it.
        effect: Relative effect to detect, e.g. 0.02; adds the columns `users_needed` and `days_needed`.
        durations: Durations in days. Those longer than the log are left out.

    Returns:
        One row per duration and metric: days, users, metric, mean, minimum_effect (relative, at the alpha and power of
        the experiment; null for a metric that does not vary), and with `effect` users_needed and days_needed (null if
        no duration is long enough).

    Raises:
        InvalidInput: The log is shorter than the shortest duration.
    """
    columns = [schema.USER_ID, schema.EVENT, schema.TIMESTAMP]
    if any(metric.aggregate == "sum" for metric in spec.metrics):
        columns.append(schema.VALUE)
    log = typed(read_log(outcomes, "outcomes", spec.outcomes), "outcomes", columns, spec)
    log = log.drop_nulls([schema.USER_ID, schema.TIMESTAMP])
    first, last = log.select(low=pl.col(schema.TIMESTAMP).min(), high=pl.col(schema.TIMESTAMP).max()).collect().row(0)
    if first is None:
        raise InvalidInput("Expected outcomes to plan from, received none.")
    covered = (last - first) // DAY + 1
    usable = [days for days in sorted(set(durations)) if 0 < days <= covered]
    if not usable:
        raise InvalidInput(f"The log has {covered} days, fewer than the shortest duration {min(durations)}.")
    rows = [row for days in usable for row in _window(spec, log, last + 1 - days * DAY, days, effect)]
    table = pl.DataFrame(rows, infer_schema_length=None)
    if effect is not None:
        reached = table.filter(pl.col("users") >= pl.col("users_needed"))
        soonest = reached.group_by("metric").agg(pl.col("days").min().alias("days_needed"))
        table = table.join(soonest, on="metric", how="left", maintain_order="left")
    return table


def _window(
    spec: ExperimentSpec, log: pl.LazyFrame, begin: int, days: int, effect: float | None
) -> list[dict[str, Any]]:
    arms = list(spec.arms)
    inside = log.filter(pl.col(schema.TIMESTAMP) >= begin).group_by(schema.USER_ID)
    exposed = inside.agg(pl.col(schema.TIMESTAMP).min()).collect().sort(schema.USER_ID)
    if exposed.height < 4:
        raise InvalidInput(f"The last {days} days have {exposed.height} users; expected at least 4 to plan from.")
    # `user_table` requires arms, but the plan is computed over all users.
    turn = pl.int_range(pl.len()) % len(arms)
    exposed = exposed.with_columns(turn.replace_strict(dict(enumerate(arms))).alias(ARM))
    frame = user_table(spec, exposed.with_columns(_time()), log.with_columns(_time())).frame
    scale = spec.ramp * (spec.traffic[1] - spec.traffic[0])
    control, treated = spec.arms[spec.control], spec.arms[arms[1]]
    users = int(frame.height * scale * (control + treated))
    rows = []
    for metric in spec.metrics:
        solved = _solve(winsorised(frame, metric), metric, spec, users, treated / control, effect)
        rows.append({"days": days, "users": users, "metric": metric.name, **solved})
    return rows


def _time() -> pl.Expr:
    return pl.col(schema.TIMESTAMP).cast(pl.Datetime("us"))


def _solve(
    frame: pl.DataFrame, metric: MetricSpec, spec: ExperimentSpec, users: int, ratio: float, effect: float | None
) -> dict[str, Any]:
    values = frame[metric.name]
    per = frame[f"{metric.name}/per"].sum() if metric.per else frame.height
    mean = float(values.sum()) / float(per) if per else 0.0
    empty = {"mean": mean, "minimum_effect": None} | ({} if effect is None else {"users_needed": None})
    if values.n_unique() < 2 or not mean:
        return empty
    library = tea_tasting()
    names = {"numer": metric.name, "denom": f"{metric.name}/per" if metric.per else None}
    before = [f"{metric.name}/before", f"{metric.name}/per/before"]
    if metric.covariate and frame[before[0]].n_unique() > 1:
        names["numer_covariate"] = before[0]
        if before[1] in frame.columns and frame[before[1]].sum() > 0:
            names["denom_covariate"] = before[1]
    options = {"alpha": spec.alpha, "power": spec.power, "ratio": ratio}
    smallest = library.RatioOfMeans(**names, **options, n_obs=users).solve_power(frame, "rel_effect_size")[0]
    row = {"mean": mean, "minimum_effect": abs(float(smallest.rel_effect_size))}
    if effect is not None:
        row["users_needed"] = _users_for(users, float(smallest.rel_effect_size), effect)
    return row
