"""Times as microseconds, from whatever they are written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from tfrec.data.reading.frames import collect
from tfrec.data.reading.guesses import SECTIONS
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.time_formats import DIGITS, digit_format, find_formats, parsed
from tfrec.errors import InvalidInput

SCALES = {"s": 1_000_000, "ms": 1_000, "us": 1}
BOUNDS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (1e8, "s"))
"""The present is about 1.8e9 s, 1.8e12 ms, 1.8e15 us or 1.8e18 ns."""
MISREAD = 0.05
"""Share of the times that may be unreadable; beyond, the format is not that of the column."""
EARLIEST = date(1990, 1, 1)
"""Earlier times are wrong, unless somebody says that they are not: no log is older."""
FEW_WRONG_TIMES = 0.001
"""Share of the times that may lie outside the bounds; they are dropped and counted. Beyond, it is refused."""


def time_bounds(earliest: date, latest: date | None) -> tuple[int, int, date]:
    """The first microsecond that is plausible, the first after them that is not, and the last plausible day.

    Args:
        earliest: The first plausible day.
        latest: The last one; None for tomorrow.
    """
    last = latest or (datetime.now(UTC) + timedelta(days=1)).date()
    first, stop = (
        int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000 for day in (earliest, last + timedelta(days=1))
    )
    return first, stop, last


def too_many_wrong(wrong: int, rows: int) -> bool:
    """Whether so many times are implausible that the column is not what it was read as."""
    return wrong > max(5, FEW_WRONG_TIMES * rows)


def shown_time(microseconds: int) -> str:
    """A time for a message, as a day, or as a year where no calendar has it."""
    years = 1970 + microseconds / 3.15576e13
    if not 1 <= years < 9999:
        return f"the year {years:.0f}"
    return str((datetime(1970, 1, 1) + timedelta(microseconds=microseconds)).date())


@dataclass
class Times:
    """A column of times as it is to be read.

    Attributes:
        value: int64 microseconds, or order numbers; null where a time is missing or unreadable.
        clock: Whether it is a clock.
        unit: s, ms, us, ns, order, or datetime.
        notices: What the console should say.
    """

    value: pl.Expr
    clock: bool
    unit: str
    notices: list[Notice] = field(default_factory=list)


def read_times(frame: pl.LazyFrame, name: str, what: str, unit: str = "auto", time_format: str | None = None) -> Times:
    """How to read a column of times; looks at as much of it as is needed.

    Args:
        frame: The input.
        name: The column.
        what: What the input is called in messages.
        unit: auto, order, s, ms, us or ns, for numbers. Auto goes by the size, of each number where units are mixed.
        time_format: Format of texts, as in strptime. None: found out.

    Raises:
        InvalidInput: The column cannot be times, or more than 5% of it cannot be read in one way.
    """
    dtype = frame.collect_schema()[name]
    column = pl.col(name)
    if dtype == pl.Null:
        return Times(pl.lit(None, pl.Int64), False, "order")
    if dtype in (pl.Datetime, pl.Date):
        value = (column.cast(pl.Datetime("us")) if dtype == pl.Date else column).dt.epoch("us")
        return Times(value, unit != "order", "order" if unit == "order" else "datetime")
    if dtype.is_numeric():
        exact = column.cast(pl.Int64, strict=False) if dtype.is_integer() or dtype.is_decimal() else None
        return _numbers(frame, column.cast(pl.Float64, strict=False), exact, unit, what)
    if dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise InvalidInput(f"{name} must be a datetime, a number or a string; received {dtype}. Convert it first.")
    text = column.cast(pl.String).str.strip_chars()
    text = pl.when(text != "").then(text)
    sample = collect(frame.select(text.drop_nulls().head(10_000)), what).to_series()
    if time_format is None:
        digits = sample.cast(pl.Float64, strict=False)
        if digits.null_count() <= len(sample) / 2:
            number = text.cast(pl.Float64, strict=False)
            times = _numbers(frame, number, text.cast(pl.Int64, strict=False), unit, what)
            return _not_misread(frame, text, times, [], what)
    return _texts(frame, text, sample, unit, time_format, what)


def _texts(
    frame: pl.LazyFrame, text: pl.Expr, sample: pl.Series, unit: str, time_format: str | None, what: str
) -> Times:
    notices: list[Notice] = []
    if time_format is not None:
        formats = [time_format]
    else:
        formats, notices = find_formats(frame, text, sample, what)
    kind = "order" if unit == "order" else "datetime"
    times = Times(parsed(text, formats[:1]).dt.epoch("us"), unit != "order", kind, notices)
    return _not_misread(frame, text, times, formats, what)


def _not_misread(frame: pl.LazyFrame, text: pl.Expr, times: Times, formats: list[str], what: str) -> Times:
    """The times, in all formats of the family where the first one does not read them all.

    Raises:
        InvalidInput: More than 5% cannot be read.
    """

    def unread(value: pl.Expr) -> tuple[int, int]:
        row = collect(frame.select(text.count().alias("all"), (text.is_not_null() & value.is_null()).sum()), what).row(
            0
        )
        return row[0], row[1]

    total, wrong = unread(times.value)
    if wrong and len(formats) > 1:
        times.value = parsed(text, formats).dt.epoch("us")
        total, wrong = unread(times.value)
    if wrong > max(2, MISREAD * total):
        bad = collect(frame.filter(text.is_not_null() & times.value.is_null()).select(text.alias("t")).head(3), what)
        section = f"--set 'data.{what}.time_format=%d.%m.%Y %H:%M'" if what in SECTIONS else "one format for all"
        read = f"{formats[0]!r} reads the others" if formats else "the others are numbers"
        raise InvalidInput(
            f"{what}: {wrong} of {total} times cannot be read, e.g. {', '.join(map(repr, bad['t']))}; {read}. "
            f"Pass a format that reads them all, e.g. {section}"
        )
    return times


def _numbers(frame: pl.LazyFrame, number: pl.Expr, whole: pl.Expr | None, unit: str, what: str) -> Times:
    """Numeric timestamps as int64. Whole numbers stay exact; fractions of seconds become microseconds."""
    number = pl.when(number.is_finite()).then(number)
    notices: list[Notice] = []
    if unit == "auto":
        facts = [number.median().alias("median"), number.min().alias("low"), number.max().alias("high")]
        median, low, high = collect(frame.select(facts), what).row(0)
        if (form := digit_format(frame, whole if whole is not None else number, low, high, what)) is not None:
            digits = (whole if whole is not None else number.cast(pl.Int64, strict=False)).cast(pl.String)
            said = Notice(f"{what}: the times are digits of dates, read as {DIGITS[form]}.")
            return Times(parsed(digits, [form]).dt.epoch("us"), True, "datetime", [said])
        unit = unit_of_median(median)
        if unit != "order" and (unit_of_median(high) != unit or (low >= 1e8 and unit_of_median(low) != unit)):
            return _mixed(frame, number, whole, unit, what)
    if unit == "order":
        fractional = collect(frame.select((number != number.floor()).any()), what).item()
        exact = whole if whole is not None else number.cast(pl.Int64, strict=False)
        return Times(_ranks(frame, number, what) if fractional else exact, False, unit, notices)
    return Times(_in_microseconds(number, whole, unit), True, unit, notices)


def _ranks(frame: pl.LazyFrame, number: pl.Expr, what: str) -> pl.Expr:
    """The place of each number among the distinct ones, from 1, as an expression that needs to see one row only."""
    distinct = collect(frame.select(number.drop_nulls().unique().sort()), what).to_series()
    places = pl.int_range(1, len(distinct) + 1, dtype=pl.Int64, eager=True)
    return number.replace_strict(distinct, places, default=None, return_dtype=pl.Int64)


def _in_microseconds(number: pl.Expr, whole: pl.Expr | None, unit: str) -> pl.Expr:
    if unit == "ns":
        rounded = pl.when((number / 1000).abs() < 2.0**62).then(number / 1000).round().cast(pl.Int64, strict=False)
        return rounded if whole is None else pl.coalesce(whole // 1000, rounded)
    scale = SCALES[unit]
    scaled = number * scale
    rounded = pl.when(scaled.abs() < 2.0**62).then(scaled).round().cast(pl.Int64, strict=False)
    if whole is None:
        return rounded
    fits = whole.abs() < 2**62 // scale
    return pl.when(fits).then(whole * scale).when(whole.is_null()).then(rounded)


def _mixed(frame: pl.LazyFrame, number: pl.Expr, whole: pl.Expr | None, unit: str, what: str) -> Times:
    """Each number by its size: among seconds, a number a thousand times as large can only be milliseconds."""
    value = _in_microseconds(number, whole, unit)
    others = pl.lit(False)
    for low, other in BOUNDS:
        high = next((bound for bound, _ in reversed(BOUNDS) if bound > low), float("inf"))
        if other != unit:
            inside = (number >= low) & (number < high)
            others |= inside
            value = pl.when(inside.fill_null(False)).then(_in_microseconds(number, whole, other)).otherwise(value)
    count = collect(frame.select(others.fill_null(False).sum()), what).item()
    said = Notice(f"{what}: {count:,} times are not in {unit} as the others; each was read by its size.", True)
    return Times(value, True, unit, [said])


def unit_of_median(median: float | None) -> str:
    """The most likely unit of timestamps with this median: the present is about 1.8e9 s, 1.8e12 ms or 1.8e15 us.

    Example:
        >>> unit_of_median(1_700_000_000), unit_of_median(12.0)
        ('s', 'order')
    """
    return next((unit for bound, unit in BOUNDS if median is not None and median >= bound), "order")
