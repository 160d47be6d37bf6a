"""Converts raw columns to our types. Values that cannot be used become null, and are counted and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.reading.column_types import with_types, without_unstorable
from tfrec.data.reading.columns import OFFSET_SUFFIX
from tfrec.data.reading.frames import collect, require
from tfrec.data.reading.identifiers import as_id, id_text, refuse_unusable_ids
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.numbers import read_numbers
from tfrec.data.reading.reshape import LISTED
from tfrec.data.reading.timestamps import read_times
from tfrec.errors import InvalidInput

EXAMPLES = 5
"""Rows shown per kind of problem in the report."""
INVALID = ("blank_user_id", "blank_item_id", "unparsable_timestamp")
"""Why a row is of no use, in the order of the report."""


@dataclass
class EventFacts:
    """What is known of a log before its rows are looked at.

    Attributes:
        clock: Whether the times are a clock.
        timestamp_unit: The unit of the source's times, "datetime" or "order".
        default_event_used: Whether the log has no kinds.
        has_values: Whether it has values.
        unused_columns: Columns that are not read.
        notices: What the console should say.
    """

    clock: bool
    timestamp_unit: str
    default_event_used: bool
    has_values: bool
    unused_columns: list[str]
    notices: list[Notice] = field(default_factory=list)


def typed_events(frame: pl.LazyFrame, config: DataConfig) -> tuple[list[pl.Expr], EventFacts]:
    """How the columns of a log become our types, each row by itself: `frame.select` of them.

    Unusable timestamps and values become null. Blank ids and kinds are handled later, in `index_ids`.

    Args:
        frame: The raw log with our column names.
        config: The `data` section of the configuration.

    Returns:
        columns: user_id, item_id and event (raw strings), timestamp (int64), value (float32), context_* and split.
        facts: What is known of the log.

    Raises:
        InvalidInput: A required column is missing, or its type cannot be used.
    """
    require(frame, "events", [schema.USER_ID, schema.ITEM_ID, schema.TIMESTAMP])
    types = frame.collect_schema()
    kept = []
    for name in (schema.USER_ID, schema.ITEM_ID):
        refuse_unusable_ids(frame, name, "events", config.written("events", name))
        kept.append(id_text(name, types[name]))
    _refuse_shown_lists(frame, types[schema.ITEM_ID])
    times = read_times(frame, schema.TIMESTAMP, "events", config.timestamp_unit, config.events.time_format)
    notices, value = list(times.notices), times.value
    offset = f"{schema.TIMESTAMP}{OFFSET_SUFFIX}"
    if offset in types:
        value = value + pl.col(offset).cast(pl.Int64)
    kind = pl.col(schema.EVENT) if schema.EVENT in types else pl.lit(None).alias(schema.EVENT)
    kept += [kind.cast(pl.String), value.alias(schema.TIMESTAMP)]
    if schema.VALUE in types:
        number, said, unreadable = read_numbers(frame, schema.VALUE, "events")
        notices += said
        kept.append(number.cast(pl.Float32))
        if wrong := collect(frame.select(unreadable.sum()), "events").item():
            notices.append(Notice(f"events: {wrong:,} values are no numbers and were left out.", True))
    else:
        kept.append(pl.lit(None, pl.Float32).alias(schema.VALUE))
    extra = [name for name in types if name.startswith(schema.CONTEXT_PREFIX) or name == schema.SPLIT]
    kept += [pl.col(name) for name in extra]
    used = {schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP, schema.VALUE, offset, *extra}
    unused = [name for name in types if name not in used]
    facts = EventFacts(
        times.clock,
        times.unit,
        schema.EVENT not in types,
        schema.VALUE in types,
        unused,
        notices + _overlooked(unused, types),
    )
    return kept, facts


def _refuse_shown_lists(frame: pl.LazyFrame, dtype: pl.DataType) -> None:
    """Raises `InvalidInput` where the item column holds lists of what was shown, as text."""
    if dtype != pl.String:
        return
    sample = collect(frame.select(pl.col(schema.ITEM_ID).drop_nulls().head(1_000)), "events").to_series()
    listed = sample.filter(sample.str.contains(LISTED))
    if len(listed) > len(sample) / 4:
        raise InvalidInput(
            f"events: item_id holds lists of what was shown, e.g. {listed[0]!r}. "
            "Pass --set data.events.impressions=item_id"
        )


def _overlooked(unused: list[str], types: pl.Schema) -> list[Notice]:
    """Unused columns that look as if they hold the value, the kind or the clicks of an event."""
    from tfrec.data.reading.guesses import SYNONYMS, plain

    notices = []
    for ours in (schema.VALUE, schema.EVENT):
        like = [name for name in unused if plain(name) in SYNONYMS[ours]]
        if ours not in types and like:
            notices.append(
                Notice(
                    f"events: column {like[0]!r} is not read. --set data.events.columns.{ours}={like[0]} reads it.",
                    True,
                )
            )
    flags = [
        name for name in unused if plain(name) in ("click", "like", "share", "follow", "isclick", "clicked", "label")
    ]
    if flags and schema.EVENT not in types:
        listed = ",".join(flags)
        notices.append(
            Notice(
                f"events: {listed} look like 0/1 columns and are not read. --set 'data.events.flags=[{listed}]'", True
            )
        )
    shown = [name for name in unused if plain(name) in ("impression", "impressions")]
    if shown:
        notices.append(
            Notice(
                f"events: {shown[0]!r} is not read. --set data.events.impressions={shown[0]} reads what was shown.",
                True,
            )
        )
    return notices


def invalid_rows(raw: pl.LazyFrame, typed: pl.LazyFrame, indexed: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Counts the unusable rows, with examples in their raw form.

    Args:
        raw: The raw log with our column names.
        typed: Of `typed_events`.
        indexed: Of `index_ids`.

    Returns:
        Reason to {"count": int, "examples": rows as dicts}; reasons without rows are absent.
    """
    problems: dict[str, dict[str, Any]] = {}
    for name, column in zip(INVALID, (schema.USER, schema.ITEM_ID, schema.TIMESTAMP)):
        if not (count := indexed[column].null_count()):
            continue
        rows = examples(raw, indexed.select(pl.col(column).is_null()).to_series())
        problems[name] = {"count": count, "examples": rows}
    return problems


def examples(raw: pl.LazyFrame, bad: pl.Series) -> list[dict[str, Any]]:
    """The first few of the marked rows of the raw log, for the report."""
    places = bad.arg_true().head(EXAMPLES)
    rows = collect(raw.with_row_index("__row").filter(pl.col("__row").is_in(places.implode())).drop("__row"), "events")
    return [_printable(row) for row in rows.iter_rows(named=True)]


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v if isinstance(v, (int, str, type(None))) else str(v) for k, v in row.items()}


def typed_items(frame: pl.LazyFrame, typed: bool = True) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
    """The catalogue with string ids. Rows without an id and repeated ids are dropped, and counted by reason.

    Args:
        frame: The catalogue.
        typed: Whether its columns have types; if not, those that hold numbers throughout become numbers.
    """
    require(frame, "items", [schema.ITEM_ID])
    refuse_unusable_ids(frame, schema.ITEM_ID, "items")
    types = frame.collect_schema()
    items = without_unstorable(collect(frame.with_columns(as_id(schema.ITEM_ID, types[schema.ITEM_ID])), "items"))
    if not typed:
        items = with_types(items, schema.ITEM_ID)
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
