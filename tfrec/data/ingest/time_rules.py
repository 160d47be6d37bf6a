"""Rules about when events took place: plausible times, `data.until` and `data.max_age`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.validate import EXAMPLES, EventFacts, examples
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.timestamps import shown_time, time_bounds, too_many_wrong
from tfrec.errors import InvalidInput


@dataclass(frozen=True)
class Outside:
    """Times outside the plausible ones, of a log or of a part of it.

    Attributes:
        count: How many there are.
        rows: Of how many.
        examples: The first of them, as rows of the raw log.
        first: The first of them, in microseconds.
    """

    count: int = 0
    rows: int = 0
    examples: tuple[dict[str, Any], ...] = ()
    first: int | None = None

    def __add__(self, other: Outside) -> Outside:
        shown = (*self.examples, *other.examples)[:EXAMPLES]
        first = self.first if self.first is not None else other.first
        return Outside(self.count + other.count, self.rows + other.rows, shown, first)


def within_bounds(log: pl.DataFrame, raw: pl.LazyFrame, config: DataConfig) -> tuple[pl.DataFrame, Outside]:
    """The log with implausible times as null, unless somebody has said what they are, and what they were."""
    first, last, _ = time_bounds(config.earliest, config.latest)
    time_of = pl.col(schema.TIMESTAMP)
    wrong = log.select(((time_of < first) | (time_of >= last)).fill_null(False)).to_series()
    count = int(wrong.sum())
    if not count or config.timestamp_unit != "auto":
        return log, Outside(count, log.height)
    found = Outside(count, log.height, tuple(examples(raw, wrong)), log.filter(wrong)[schema.TIMESTAMP][0])
    return log.with_columns(pl.when(~wrong).then(time_of)), found


def report_outside(outside: Outside, config: DataConfig, facts: EventFacts, problems: dict[str, Any]) -> None:
    """Adds the implausible times to the problems, or to the notices where somebody has said what they are.

    Raises:
        InvalidInput: Too many lie outside the bounds: the column is not what it was read as.
    """
    if not outside.count:
        return
    _, _, latest = time_bounds(config.earliest, config.latest)
    if config.timestamp_unit != "auto":
        said = f"events: {outside.count:,} times lie outside {config.earliest} to {latest}."
        facts.notices.append(Notice(said, True))
        return
    if too_many_wrong(outside.count, outside.rows):
        assert outside.first is not None
        raise InvalidInput(
            f"events: {outside.count:,} of {outside.rows:,} times lie outside {config.earliest} to {latest}, "
            f"e.g. {outside.examples[0][schema.TIMESTAMP]!r}, read as {facts.timestamp_unit}: "
            f"{shown_time(outside.first)}. "
            "Say what they are (data.timestamp_unit, data.events.time_format), or widen data.earliest and data.latest."
        )
    problems["implausible_timestamp"] = {"count": outside.count, "examples": list(outside.examples)}


def until(log: pl.DataFrame, end: datetime | None, clock: bool) -> pl.DataFrame:
    """The log without events from `end` on; None keeps all."""
    if end is None:
        return log
    if not clock:
        raise InvalidInput("data.until needs a clock, but the timestamps are order numbers. Leave it out.")
    end = end.replace(tzinfo=UTC) if end.tzinfo is None else end
    microseconds = (end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return log.filter((pl.col(schema.TIMESTAMP) < microseconds) | pl.col(schema.TIMESTAMP).is_null())


def newest(log: pl.DataFrame, days: float | None, clock: bool, last: int | None = None) -> pl.DataFrame:
    """The log without events that are more than so many days older than the newest one; None keeps all.

    Args:
        log: The indexed log.
        days: `data.max_age`.
        clock: Whether the times are a clock.
        last: Time of the newest event, where this is but a part of the log.
    """
    if days is None:
        return log
    if not clock:
        raise InvalidInput("data.max_age needs a clock, but the timestamps are order numbers. Leave it out.")
    age = (pl.col(schema.TIMESTAMP).max() if last is None else last) - pl.col(schema.TIMESTAMP)
    return log.filter((age <= days * 86_400e6) | pl.col(schema.TIMESTAMP).is_null())


def report_age(gone: int, days: float | None, facts: EventFacts) -> None:
    """Says how many events `data.max_age` left out."""
    if gone:
        facts.notices.append(Notice(f"events: {gone:,} are older than {days:g} days (data.max_age), and left out."))
