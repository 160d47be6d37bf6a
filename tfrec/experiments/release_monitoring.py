"""Monitors what is served after an experiment has ended: daily metrics of each version, and their change points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.reading.numbers import read_numbers
from tfrec.errors import InvalidInput
from tfrec.experiments.ab_test.logs import DAY, read_log, typed

VERSION = "version"
HOUR = 3_600_000_000  # microseconds
FIGURES = ("click_through", "conversion", "coverage", "latency_p50", "latency_p95", "fallbacks", "unknown_ids")


def daily_metrics(
    impressions: Any,
    outcomes: Any,
    *,
    num_items: int,
    click: str = schema.CLICK,
    conversion: str = schema.PURCHASE,
    within_hours: float = 24.0,
) -> pl.DataFrame:
    """Daily metrics of each served version.

    An outcome is attributed to the user's last impression of the same item, at most `within_hours` earlier. An
    impression counts as clicked once, however many clicks follow. Days are in UTC and are those of the impression, so
    the metrics of a day may grow until the window has passed.

    Args:
        impressions: Log with user_id, item_id, timestamp and version, and optionally latency_ms, fallback (bool),
            unknown_ids and history_ids (counts of the request). `read_log` lists the accepted sources.
        outcomes: Log with user_id, item_id, event, timestamp.
        num_items: int. Number of items in the catalogue.
        click: Event kind of a click.
        conversion: Event kind of a conversion.
        within_hours: float. Attribution window in hours.

    Returns:
        One row per day and version, in order: day (date), version, impressions, users, click_through and conversion
        (shares of impressions), click_through_se (standard error, with the user as the unit), coverage (share of the
        catalogue shown), latency_p50 and latency_p95 (ms), fallbacks (share of impressions), unknown_ids (share of
        history ids). A metric without its column in the log is null.

    Raises:
        InvalidInput: A column is missing, there are no impressions, or no outcome belongs to an impression.
    """
    if num_items < 1 or within_hours <= 0:
        raise InvalidInput(f"Expected num_items and within_hours above 0, received {num_items}, {within_hours}.")
    shown = _impressions(read_log(impressions, "impressions"))
    acted = _outcomes(read_log(outcomes, "outcomes"), [click, conversion])
    attributed = _attribute(shown, acted, click, conversion, int(within_hours * HOUR))
    if acted.height and not (attributed["clicked"].any() or attributed["converted"].any()):
        raise InvalidInput(
            f"None of {acted.height:,} outcomes belongs to one of {shown.height:,} impressions. "
            "Do both logs use the same user and item ids, and the same clock?"
        )
    keys = ["day", VERSION]
    table = attributed.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("impressions"),
        pl.col(schema.USER_ID).n_unique().cast(pl.Int64).alias("users"),
        pl.col("clicked").mean().alias("click_through"),
        pl.col("converted").mean().alias("conversion"),
        (pl.col(schema.ITEM_ID).n_unique() / num_items).alias("coverage"),
        pl.col("latency_ms").quantile(0.5, "linear").alias("latency_p50"),
        pl.col("latency_ms").quantile(0.95, "linear").alias("latency_p95"),
        pl.col("fallback").mean().alias("fallbacks"),
        (pl.col("unknown_ids").sum() / pl.col("history_ids").sum()).fill_nan(None).alias("unknown_ids"),
    )
    errors = _click_through_errors(attributed, keys)
    joined = table.join(errors, on=keys, how="left").sort(keys)
    return joined.select(*keys, "impressions", "users", "click_through", "click_through_se", *FIGURES[1:])


def _click_through_errors(attributed: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Standard errors of the click-through rate by the delta method over users; null with one user."""
    by_user = attributed.group_by([*keys, schema.USER_ID]).agg(
        pl.col("clicked").sum().cast(pl.Float64).alias("c"), pl.len().cast(pl.Float64).alias("n")
    )
    rate = pl.col("c").sum() / pl.col("n").sum()
    deviation = ((pl.col("c") - rate * pl.col("n")) / pl.col("n").mean()).std()
    return by_user.group_by(keys).agg((deviation / pl.len().sqrt()).alias("click_through_se"))


def _impressions(log: pl.LazyFrame) -> pl.DataFrame:
    types = log.collect_schema()
    for name in (schema.USER_ID, schema.ITEM_ID, schema.TIMESTAMP, VERSION):
        if name not in types:
            raise InvalidInput(f"impressions have no column {name!r}; found {', '.join(map(repr, types))}. Rename it.")
    optional = {"latency_ms": pl.Float64, "fallback": pl.Float64, "unknown_ids": pl.Float64, "history_ids": pl.Float64}
    extra = [
        (_number(log, name) if name in types else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in optional.items()
    ]
    time = typed(log, "impressions", [schema.TIMESTAMP]).collect().to_series()
    table = log.select(pl.col(schema.USER_ID, schema.ITEM_ID, VERSION).cast(pl.String), *extra).collect()
    table = table.with_columns(time.alias(schema.TIMESTAMP)).drop_nulls(
        [schema.USER_ID, schema.ITEM_ID, VERSION, schema.TIMESTAMP]
    )
    if not table.height:
        raise InvalidInput("Expected impressions, received none that has a user, an item, a time and a version.")
    day = (pl.col(schema.TIMESTAMP) // DAY).cast(pl.Int32).cast(pl.Date)
    return table.with_columns(day.alias("day")).with_row_index("impression").sort(schema.TIMESTAMP)


def _number(log: pl.LazyFrame, name: str) -> pl.Expr:
    """A column of numbers, or of true and false, which are 1 and 0; in a CSV file they are text."""
    if log.collect_schema()[name] != pl.String:
        return read_numbers(log, name, "impressions")[0]
    text = pl.col(name).str.strip_chars().str.to_lowercase()
    yes_or_no = text.replace_strict({"true": 1.0, "false": 0.0}, default=None)
    return pl.coalesce(yes_or_no, text.cast(pl.Float64, strict=False))


def _outcomes(log: pl.LazyFrame, kinds: Sequence[str]) -> pl.DataFrame:
    types = log.collect_schema()
    if schema.ITEM_ID not in types:
        raise InvalidInput(f"outcomes have no column 'item_id'; found {', '.join(map(repr, types))}. Rename it.")
    table = typed(log, "outcomes", [schema.USER_ID, schema.EVENT, schema.TIMESTAMP])
    merged = pl.concat([table, log.select(pl.col(schema.ITEM_ID).cast(pl.String))], how="horizontal")
    return merged.drop_nulls().filter(pl.col(schema.EVENT).is_in(list(kinds))).collect().sort(schema.TIMESTAMP)


def _attribute(shown: pl.DataFrame, acted: pl.DataFrame, click: str, conversion: str, window: int) -> pl.DataFrame:
    """The impressions with the columns clicked and converted; `window` is in microseconds."""
    shown_at = pl.col(schema.TIMESTAMP).alias("shown_at")
    matched = acted.join_asof(
        shown.select(schema.USER_ID, schema.ITEM_ID, schema.TIMESTAMP, shown_at, "impression"),
        on=schema.TIMESTAMP,
        by=[schema.USER_ID, schema.ITEM_ID],
        strategy="backward",
        check_sortedness=False,  # both are sorted, but Polars cannot check this within groups
    ).filter(pl.col(schema.TIMESTAMP) - pl.col("shown_at") <= window)
    kinds = {
        name: matched.filter(pl.col(schema.EVENT) == kind)["impression"].unique().implode()
        for name, kind in (("clicked", click), ("converted", conversion))
    }
    return shown.with_columns(pl.col("impression").is_in(kind).alias(name) for name, kind in kinds.items())


@dataclass(frozen=True)
class Change:
    """A change in the level of a daily metric.

    Attributes:
        version: The served version.
        figure: Name of the metric.
        day: The first day of the new level (ISO date).
        before: Mean of the metric before the change.
        after: Mean of the metric after the change.
        p: p-value of the permutation test, corrected for the number of series.
    """

    version: str
    figure: str
    day: str
    before: float
    after: float
    p: float


def change_points(
    daily: pl.DataFrame,
    *,
    figures: Sequence[str] = FIGURES,
    alpha: float = 0.01,
    minimum_days: int = 4,
    permutations: int = 2000,
    seed: int = 0,
) -> list[Change]:
    """Finds the days on which a daily metric changed its level, by binary segmentation.

    In each series the split with the largest standardised difference of means is tested by permuting the days (after
    Matteson and James, 2014), with Bonferroni correction over the series. Both sides of a change are searched again. In
    series of at least three weeks the weekday pattern is removed first. The test assumes that days are exchangeable if
    nothing changes, so a slow trend is reported as a change, on purpose.

    Args:
        daily: Of `daily_metrics`.
        figures: Columns to search; those that are missing or null are skipped.
        alpha: float. Probability of a false alarm over all series.
        minimum_days: int. Minimum length of a level in days.
        permutations: int. Number of permutations of each test.
        seed: int. The same seed gives the same changes.

    Returns:
        The changes, sorted by version, metric and day.

    Raises:
        InvalidInput: There are too few permutations to reach `alpha`.
    """
    if daily.is_empty():
        return []
    series = {}
    for (version,), part in daily.sort("day").group_by([VERSION], maintain_order=True):
        for figure in (name for name in figures if name in part.columns):
            usable = part.select("day", pl.col(figure).cast(pl.Float64)).drop_nulls()
            if usable.height >= 2 * minimum_days:
                series[str(version), figure] = usable
    if series and alpha / len(series) < 1 / (permutations + 1):
        needed = int(np.ceil(len(series) / alpha))
        raise InvalidInput(f"{permutations} permutations cannot reach alpha over {len(series)} series; use {needed}.")
    changes: list[Change] = []
    rng = np.random.default_rng(seed)
    for (version, figure), table in series.items():
        values = table[figure].to_numpy()
        level = _without_weekdays(values, table["day"].dt.weekday().to_numpy())
        for place, p, start, stop in _segments(level, minimum_days, alpha / len(series), permutations, rng):
            before, after = float(values[start:place].mean()), float(values[place:stop].mean())
            changes.append(Change(version, figure, str(table["day"][place]), before, after, min(1.0, p * len(series))))
    return sorted(changes, key=lambda change: (change.version, change.figure, change.day))


def _without_weekdays(values: np.ndarray, weekdays: np.ndarray) -> np.ndarray:
    """The values minus the overall median and minus each weekday's median; unchanged below three weeks.

    Medians are used because with means a change within the series would be taken for a weekday pattern.
    """
    if len(values) < 21:
        return values
    result = values - np.median(values)
    for weekday in np.unique(weekdays):
        result[weekdays == weekday] -= np.median(result[weekdays == weekday])
    return result


def _segments(
    values: np.ndarray, minimum: int, alpha: float, permutations: int, rng: np.random.Generator
) -> list[tuple[int, float, int, int]]:
    """(place, p, start, stop) of each change, where start and stop delimit the days that were tested."""
    changes, open_ = [], [(0, len(values))]
    while open_:
        start, stop = open_.pop()
        part = values[start:stop]
        if len(part) < 2 * minimum or part.std() <= 1e-12 * max(1.0, float(np.abs(part).max())):
            continue
        split, observed = _best_split(part[None, :], minimum)
        shuffled = rng.permuted(np.tile(part, (permutations, 1)), axis=1)
        _, permuted = _best_split(shuffled, minimum)
        p = (1 + int((permuted >= observed[0] - 1e-12).sum())) / (1 + permutations)
        if p <= alpha:
            place = start + int(split[0])
            changes.append((place, p, start, stop))
            open_ += [(start, place), (place, stop)]
    return changes


def _best_split(rows: np.ndarray, minimum: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row, the split with the largest standardised difference of means, and this difference."""
    days = rows.shape[1]
    counts = np.arange(minimum, days - minimum + 1)
    sums = rows.cumsum(axis=1)[:, counts - 1]
    before, after = sums / counts, (rows.sum(axis=1, keepdims=True) - sums) / (days - counts)
    gaps = np.abs(after - before) * np.sqrt(counts * (days - counts) / days)
    place = gaps.argmax(axis=1)
    return counts[place], gaps[np.arange(len(rows)), place]
