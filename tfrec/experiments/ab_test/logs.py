"""Joins exposure and outcome logs into one row per user, and counts all irregular rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config.inputs import InputConfig
from tfrec.data.reading import read_input
from tfrec.data.reading.frames import collect
from tfrec.data.reading.identifiers import as_id, refuse_unusable_ids
from tfrec.data.reading.numbers import read_numbers
from tfrec.data.reading.timestamps import EARLIEST, read_times, shown_time, time_bounds, too_many_wrong
from tfrec.errors import InvalidInput, Unavailable
from tfrec.experiments.design.assignment import ARM
from tfrec.experiments.design.spec import EXPOSURES, ExperimentSpec
from tfrec.progress import say

DAY = 86_400_000_000  # microseconds
FIRST = "first_exposure"


@dataclass(frozen=True)
class UserTable:
    """The users of an experiment, with their metrics.

    Attributes:
        frame: One row per user: user_id, arm, first_exposure (µs), exposures, and for each metric m: `m` (numerator),
            `m/per` (denominator of a ratio), `m/before` and `m/per/before` (the same before exposure, for CUPED).
        counts: Rows read and left out: exposures, repeated_exposures, users_in_both_arms, invalid_exposures, outcomes,
            invalid_outcomes (without a user, event or time, or without a finite value where a metric sums it),
            outcomes_of_others (users who were never exposed), outcomes_before_exposure, outcomes_too_late (after
            `outcome_days`), users_without_outcome.
        missing_days: ISO dates between the first exposure and the last outcome without any outcome.
    """

    frame: pl.DataFrame
    counts: dict[str, int]
    missing_days: list[str] = field(default_factory=list)


def read_log(source: Any, what: str, config: InputConfig | None = None) -> pl.LazyFrame:
    """Opens a log as a lazy frame.

    Args:
        source: A Polars or pandas frame; an object with a `.pl()` method, such as a DuckDB relation; files of any kind
            that `tfrec.data.reading` reads; or "FILE.duckdb::QUERY", which needs the `duckdb` package.
        what: Name of the log in error messages.
        config: How the log is read, e.g. its column map; None finds it out.
    """
    if hasattr(source, "pl"):
        source = source.pl()
    if isinstance(source, str) and "::" in source:
        file, query = source.split("::", 1)
        source = _duckdb(file, query, what)
    given = read_input(source, what, config)
    for notice in given.notices:
        say(str(notice))
    return given.frame


def _duckdb(file: str, query: str, what: str) -> pl.LazyFrame:
    try:
        import duckdb
    except ImportError:
        raise Unavailable(f"{what}: DuckDB is not installed. pip install 'tfrec-bert[experiments]'") from None
    if not Path(file).is_file():
        raise InvalidInput(f"{what}: there is no database {file}.")
    with duckdb.connect(file, read_only=True) as connection:
        try:
            frame: pl.DataFrame = connection.sql(query).pl()
        except duckdb.Error as error:
            raise InvalidInput(f"{what}: the query failed: {error}") from None
    return frame.lazy()


def user_table(spec: ExperimentSpec, exposures: Any, outcomes: Any) -> UserTable:
    """Reads both logs and builds the analysis table. Users in more than one arm are left out and counted.

    Args:
        spec: The experiment.
        exposures: Log with user_id, arm, timestamp (see `read_log`).
        outcomes: Log with user_id, event, timestamp, and value if a metric sums it. Events before a user's first
            exposure are used only for CUPED.

    Raises:
        InvalidInput: A column is missing, an arm is unknown or has fewer than two users, or no exposed user has an
            outcome.
    """
    shown = read_log(exposures, "exposures", spec.exposures)
    shown = typed(shown, "exposures", [schema.USER_ID, ARM, schema.TIMESTAMP], spec)
    needs_value = any(metric.aggregate == "sum" for metric in spec.metrics)
    columns = [schema.USER_ID, schema.EVENT, schema.TIMESTAMP, *([schema.VALUE] if needs_value else [])]
    acted = typed(read_log(outcomes, "outcomes", spec.outcomes), "outcomes", columns, spec)
    users, counts = _exposed(spec, shown)
    table, more, days = _outcomes(spec, users, acted)
    return UserTable(table, counts | more, days)


def typed(log: pl.LazyFrame, what: str, columns: list[str], spec: ExperimentSpec | None = None) -> pl.LazyFrame:
    """Selects and converts columns of a log: ids and kinds to strings, timestamp to int64 µs, value to float64.

    Args:
        log: Of `read_log`.
        what: Name of the log in error messages.
        columns: Names of the columns; timestamp is among them.
        spec: The experiment, for the format of times and their bounds; None for those of any log.
    """
    types = log.collect_schema()
    missing = [name for name in columns if name not in types]
    if missing:
        raise InvalidInput(
            f"{what} have no column {missing[0]!r}; found {', '.join(map(repr, types))}. Rename "
            f"it, or say in the file of the experiment what it is called: {what}: {{columns: {{{missing[0]}: …}}}}."
        )
    keep = []
    for name in columns:
        if name in (schema.USER_ID, ARM, schema.EVENT):
            refuse_unusable_ids(log, name, what)
            keep.append(as_id(name, types[name]).alias(name))
    keep.append(_times(log, what, spec).alias(schema.TIMESTAMP))
    if schema.VALUE in columns:
        keep.append(read_numbers(log, schema.VALUE, what)[0])
    return log.select(keep)


def _times(log: pl.LazyFrame, what: str, spec: ExperimentSpec | None) -> pl.Expr:
    """The times, int64 µs; null where they are unreadable or outside the bounds.

    Raises:
        InvalidInput: More than a few lie outside the bounds: they are not what they were read as.
    """
    section: InputConfig = getattr(spec, what, InputConfig())
    times = read_times(log, schema.TIMESTAMP, what, time_format=section.time_format)
    if not times.clock:  # small numbers are seconds here: an experiment has a clock
        return read_times(log, schema.TIMESTAMP, what, "s").value
    first, stop, latest = time_bounds(spec.earliest, spec.latest) if spec else time_bounds(EARLIEST, None)
    wrong = (times.value < first) | (times.value >= stop)
    facts = log.select(wrong.sum().alias("wrong"), pl.len().alias("rows"), times.value.filter(wrong).first())
    count, rows, example = collect(facts, what).row(0)
    if too_many_wrong(count, rows):
        raise InvalidInput(
            f"{what}: {count:,} of {rows:,} times lie outside {spec.earliest if spec else EARLIEST} to {latest}, e.g. "
            f"{shown_time(example)}, read as {times.unit}. Say what they are in the file of the experiment ({what}: "
            "{time_format: …}), or widen its earliest and latest."
        )
    return pl.when(~wrong).then(times.value) if count else times.value


def _exposed(spec: ExperimentSpec, log: pl.LazyFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    real = log.drop_nulls()
    per_user = (
        real.group_by(schema.USER_ID)
        .agg(
            pl.col(ARM).first(),
            (pl.col(ARM).min() != pl.col(ARM).max()).alias("both"),
            pl.col(schema.TIMESTAMP).min().alias(FIRST),
            pl.len().cast(pl.Int64).alias(EXPOSURES),
        )
        .collect(engine="streaming")
    )
    total = int(log.select(pl.len()).collect().item())
    used = int(per_user[EXPOSURES].sum())
    unknown = per_user.filter(~pl.col(ARM).is_in(list(spec.arms)))
    if unknown.height:
        raise InvalidInput(
            f"{unknown.height} users are in arms that the experiment does not have, e.g. {unknown[ARM][0]!r}; expected "
            f"{', '.join(spec.arms)}. Is this the log of another experiment?"
        )
    mixed = int(per_user["both"].sum())
    users = per_user.filter(~pl.col("both")).drop("both").sort(schema.USER_ID)
    sizes = dict(users[ARM].value_counts().iter_rows())
    for arm in spec.arms:
        if sizes.get(arm, 0) < 2:
            raise InvalidInput(
                f"Arm {arm!r} has {sizes.get(arm, 0)} users, expected at least 2; the log has {sizes or 'none'}"
                f"{f' and {mixed} users in more than one arm' if mixed else ''}. Is this the complete log?"
            )
    counts = {
        "exposures": used,
        "invalid_exposures": total - used,
        "repeated_exposures": used - per_user.height,
        "users": users.height,
        "users_in_both_arms": mixed,
    }
    return users, counts


def _outcomes(
    spec: ExperimentSpec, users: pl.DataFrame, log: pl.LazyFrame
) -> tuple[pl.DataFrame, dict[str, int], list[str]]:
    time, first = pl.col(schema.TIMESTAMP), pl.col(FIRST)
    after = time >= first
    if spec.outcome_days is not None:
        after &= time < first + spec.outcome_days * DAY
    before = (time < first) & (time >= first - spec.covariate_days * DAY)
    joined = log.filter(pl.all_horizontal(pl.col(schema.USER_ID, schema.EVENT, schema.TIMESTAMP).is_not_null())).join(
        users.lazy().select(schema.USER_ID, FIRST), on=schema.USER_ID, how="left"
    )
    columns = []
    for metric in spec.metrics:
        for suffix, period in (("", after), ("/before", before)):
            columns.append(_total(metric.event, metric.aggregate, period).alias(f"{metric.name}{suffix}"))
            if metric.per and metric.per != EXPOSURES:
                columns.append(_total(metric.per, "count", period).alias(f"{metric.name}/per{suffix}"))
    tallies = [
        pl.len().alias("outcomes"),
        (time < first).sum().alias("outcomes_before_exposure"),
        ((time >= first) & ~after).sum().alias("outcomes_too_late"),
        after.sum().alias("after"),
    ]
    summed = [metric.event for metric in spec.metrics if metric.aggregate == "sum"]
    missing = pl.col(schema.EVENT).is_in(summed) & pl.col(schema.VALUE).is_null() if summed else pl.lit(False)
    tallies.append(missing.sum().alias("without_value"))
    # One pass over the log: all users who were never exposed fall into one group, as their first exposure is null.
    exposed_user = pl.when(first.is_not_null()).then(pl.col(schema.USER_ID))
    totals = joined.group_by(exposed_user.alias(schema.USER_ID)).agg(*columns, *tallies)
    day_list = joined.filter(first.is_not_null() & (time >= first)).select((time // DAY).unique())
    grouped, days, rows = pl.collect_all([totals, day_list, log.select(pl.len())], engine="streaming")
    others = grouped.filter(pl.col(schema.USER_ID).is_null())
    exposed = grouped.drop_nulls(schema.USER_ID)
    if not exposed.height:
        raise InvalidInput(
            f"None of {users.height} exposed users has an outcome; the log has {grouped['outcomes'].sum()} outcomes of "
            "other users. Do both logs use the same user ids?"
        )
    names = [name for name in exposed.columns if "/" in name or name in {metric.name for metric in spec.metrics}]
    table = users.join(
        exposed.select(schema.USER_ID, "after", *names), on=schema.USER_ID, how="left", maintain_order="left"
    )
    table = table.with_columns(pl.col("after", *names).fill_null(0))
    for metric in spec.metrics:
        if metric.per == EXPOSURES:
            table = table.with_columns(pl.col(EXPOSURES).cast(pl.Float64).alias(f"{metric.name}/per"))
    counts = {
        "outcomes": int(grouped["outcomes"].sum()),
        "invalid_outcomes": int(rows.item()) - int(grouped["outcomes"].sum()) + int(grouped["without_value"].sum()),
        "outcomes_of_others": int(others["outcomes"].sum()),
        "outcomes_before_exposure": int(exposed["outcomes_before_exposure"].sum()),
        "outcomes_too_late": int(exposed["outcomes_too_late"].sum()),
        "users_without_outcome": int((table["after"] == 0).sum()),
    }
    return table.drop("after"), counts, _missing_days(users, days.to_series())


def _total(event: str, aggregate: str, period: pl.Expr) -> pl.Expr:
    chosen = period & (pl.col(schema.EVENT) == event)
    if aggregate == "sum":
        return pl.when(chosen).then(pl.col(schema.VALUE)).otherwise(0.0).sum().cast(pl.Float64)
    counted = chosen.any() if aggregate == "any" else chosen.sum()
    return counted.cast(pl.Float64)


def _missing_days(users: pl.DataFrame, days: pl.Series) -> list[str]:
    if not len(days):
        return []
    begin, end = int(users[FIRST].min()) // DAY, int(days.max())  # type: ignore[arg-type]
    present = set(days.to_list())
    absent = pl.Series([day for day in range(begin, end + 1) if day not in present], dtype=pl.Int32)
    return [str(day) for day in absent.cast(pl.Date)]
