"""Converts raw columns to our types. Values that cannot be used become null, and are counted and reported."""

from __future__ import annotations

from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.read import collect, require
from tfrec.errors import InvalidInput

EXAMPLES = 5
"""Rows shown per kind of problem in the report."""
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
# The format that parses most of a sample wins; ties go to the first in this list.
TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
    "%m/%d/%y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
)  # fmt: skip


def as_id(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as string ids; blank ids are null."""
    text = id_text(name, dtype)
    return pl.when(text.str.strip_chars() != "").then(text)


def id_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as strings. pandas turns integers with missing values into floats, so 17850.0 becomes "17850"."""
    column = pl.col(name)
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor())
    return (
        pl.when(whole)
        .then(column.cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(pl.when(column.is_finite()).then(column.cast(pl.String)))
    )


def typed_events(frame: pl.LazyFrame, config: DataConfig) -> tuple[pl.LazyFrame, dict[str, Any]]:
    """Converts the columns of a log to our types.

    Unusable timestamps and values become null. Blank ids and kinds are handled later, in `index_ids`.

    Args:
        frame: The raw log with our column names.
        config: The `data` section of the configuration.

    Returns:
        frame: user_id, item_id and event (raw strings), timestamp (int64), value (float32), context_* and split.
        facts: `clock` (bool), `timestamp_unit` (str), `default_event_used` (bool: the log has no event column) and
        `unused_columns` (list of str).

    Raises:
        InvalidInput: A required column is missing, or its type cannot be used.
    """
    require(frame, "events", [schema.USER_ID, schema.ITEM_ID, schema.TIMESTAMP])
    types = frame.collect_schema()
    time, clock, unit = _timestamp(frame, types[schema.TIMESTAMP], config)
    kept = [id_text(schema.USER_ID, types[schema.USER_ID]), id_text(schema.ITEM_ID, types[schema.ITEM_ID])]
    kind = pl.col(schema.EVENT) if schema.EVENT in types else pl.lit(None).alias(schema.EVENT)
    kept.append(kind.cast(pl.String))
    kept.append(time.alias(schema.TIMESTAMP))
    if schema.VALUE in types:
        value = pl.col(schema.VALUE).cast(pl.Float32, strict=False)
        kept.append(pl.when(value.is_finite()).then(value).alias(schema.VALUE))
    else:
        kept.append(pl.lit(None, pl.Float32).alias(schema.VALUE))
    extra = [name for name in types if name.startswith(schema.CONTEXT_PREFIX) or name == schema.SPLIT]
    kept += [pl.col(name) for name in extra]
    used = {schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP, schema.VALUE, *extra}
    notes = {
        "clock": clock,
        "timestamp_unit": unit,
        "default_event_used": schema.EVENT not in types,
        "unused_columns": [name for name in types if name not in used],
    }
    return frame.select(kept), notes


def _timestamp(frame: pl.LazyFrame, dtype: pl.DataType, config: DataConfig) -> tuple[pl.Expr, bool, str]:
    """The time as int64 microseconds (or order numbers), whether it is a clock, and its unit in the source."""
    column = pl.col(schema.TIMESTAMP)
    unit = config.timestamp_unit
    if dtype == pl.String:
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
        sample = collect(frame.select(column.drop_nulls().head(10_000)), "events").to_series()
        digits = sample.str.strip_chars().cast(pl.Float64, strict=False)
        if digits.null_count() <= len(sample) / 2:
            whole = column.str.strip_chars().cast(pl.Int64, strict=False)
            return _numeric(frame, numbers, whole, unit)
        time = column.str.strip_chars().str.to_datetime(
            _time_format(frame, sample), time_unit="us", strict=False, time_zone="UTC", ambiguous="earliest"
        )
        return time.dt.epoch("us"), unit != "order", unit if unit == "order" else "datetime"
    if dtype.is_numeric():
        exact = column.cast(pl.Int64, strict=False) if dtype.is_integer() else None
        return _numeric(frame, column.cast(pl.Float64, strict=False), exact, unit)
    if dtype in (pl.Datetime, pl.Date):
        return (
            (column.cast(pl.Datetime("us")) if dtype == pl.Date else column).dt.epoch("us"),
            unit != "order",
            "order" if unit == "order" else "datetime",
        )
    if dtype == pl.Null:
        return pl.lit(None, pl.Int64), False, "order"
    raise InvalidInput(f"timestamp must be a datetime, a number or a string; received {dtype}. Convert it first.")


def _numeric(frame: pl.LazyFrame, number: pl.Expr, whole: pl.Expr | None, unit: str) -> tuple[pl.Expr, bool, str]:
    """Numeric timestamps as int64. Whole numbers stay exact; fractions of seconds become microseconds."""
    number = pl.when(number.is_finite()).then(number)
    if unit == "auto":
        median = collect(frame.select(number.median()), "events").item()
        unit = unit_of_median(median)
    if unit == "order":
        fractional = collect(frame.select((number != number.floor()).any()), "events").item()
        exact = whole if whole is not None else number.cast(pl.Int64, strict=False)
        return (number.rank("dense").cast(pl.Int64) if fractional else exact), False, unit
    scale = MICROSECONDS[unit]
    scaled = number * scale
    rounded = pl.when(scaled.abs() < 2.0**62).then(scaled).round().cast(pl.Int64, strict=False)
    if whole is not None:
        fits = whole.abs() < 2**62 // scale
        return pl.when(fits).then(whole * scale).when(whole.is_null()).then(rounded), True, unit
    return rounded, True, unit


def unit_of_median(median: float | None) -> str:
    """The most likely unit of timestamps with this median: the present is about 1.8e9 s, 1.8e12 ms or 1.8e15 us.

    Example:
        >>> unit_of_median(1_700_000_000), unit_of_median(12.0)
        ('s', 'order')
    """
    for bound, unit in ((1e14, "us"), (1e11, "ms"), (1e8, "s")):
        if median is not None and median >= bound:
            return unit
    return "order"


def _time_format(frame: pl.LazyFrame, sample: pl.Series) -> str:
    texts = sample.str.strip_chars()
    counts = [_count_readable(texts, form) for form in TIME_FORMATS]
    if max(counts) == 0:
        raise InvalidInput(
            f"None of the first {len(sample)} timestamps could be read, e.g. {sample[0]!r}. "
            "Use integers, ISO 8601 (2024-05-31 18:00:00) or datetimes."
        )
    best = [form for form, count in zip(TIME_FORMATS, counts) if count == max(counts)]
    if len(best) > 1 and "/" in sample[0]:  # 03/04/2024: only the whole column can tell whether the month comes first
        distinct = collect(frame.select(pl.col(schema.TIMESTAMP).drop_nulls().unique()), "events").to_series()
        best.sort(key=lambda form: -_count_readable(distinct.str.strip_chars(), form))
    return best[0]


def _count_readable(texts: pl.Series, form: str) -> int:
    zone = None if form.endswith("z") else "UTC"
    times = texts.str.to_datetime(form, time_unit="us", strict=False, time_zone=zone)
    return len(times) - times.null_count()


def invalid_rows(raw: pl.LazyFrame, typed: pl.LazyFrame, indexed: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Counts the unusable rows, with examples in their raw form.

    Args:
        raw: The raw log with our column names.
        typed: Of `typed_events`.
        indexed: Of `index_ids`.

    Returns:
        Reason to {"count": int, "examples": rows as dicts}; reasons without rows are absent.
    """
    types = typed.collect_schema()
    problems: dict[str, dict[str, Any]] = {}
    for name, column, what in (
        ("blank_user_id", schema.USER, schema.USER_ID),
        ("blank_item_id", schema.ITEM_ID, schema.ITEM_ID),
        ("unparsable_timestamp", schema.TIMESTAMP, schema.TIMESTAMP),
    ):
        if not (count := indexed[column].null_count()):
            continue
        usable = pl.col(what) if what == schema.TIMESTAMP else as_id(what, types[what])
        marked = pl.concat([raw, typed.select(usable.is_null().alias("__bad"))], how="horizontal")
        rows = collect(marked.filter("__bad").drop("__bad").head(EXAMPLES), "events")
        problems[name] = {"count": count, "examples": [_printable(row) for row in rows.iter_rows(named=True)]}
    return problems


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v if isinstance(v, (int, str, type(None))) else str(v) for k, v in row.items()}


def typed_items(frame: pl.LazyFrame) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
    """The catalogue with string ids. Rows without an id and repeated ids are dropped, and counted by reason."""
    require(frame, "items", [schema.ITEM_ID])
    types = frame.collect_schema()
    items = collect(frame.with_columns(as_id(schema.ITEM_ID, types[schema.ITEM_ID])), "items")
    problems: dict[str, dict[str, Any]] = {}
    blank = items[schema.ITEM_ID].is_null()
    if blank.any():
        rows = items.filter(blank).head(EXAMPLES).iter_rows(named=True)
        problems["blank_item_id"] = {"count": int(blank.sum()), "examples": [_printable(row) for row in rows]}
        items = items.filter(~blank)
    repeated = ~items[schema.ITEM_ID].is_first_distinct()
    if repeated.any():
        ids = items.filter(repeated)[schema.ITEM_ID].unique(maintain_order=True).head(EXAMPLES).to_list()
        problems["duplicate_item"] = {"count": int(repeated.sum()), "examples": ids}
        items = items.filter(~repeated)
    return items, problems
