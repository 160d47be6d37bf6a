"""Builds the cleaned log. Ids are replaced by integers early, so that a long log fits into memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.histories import Histories
from tfrec.data.ingest import clean
from tfrec.data.ingest.event_kinds import spelt_otherwise
from tfrec.data.ingest.index_ids import Vocabulary, index_ids, sort_stable
from tfrec.data.ingest.pseudonyms import under_pseudonyms
from tfrec.data.ingest.targets import is_target, with_dislikes
from tfrec.data.ingest.ties import order_ties
from tfrec.data.ingest.validate import EXAMPLES, EventFacts, examples, invalid_rows, typed_events
from tfrec.data.reading.frames import require
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.timestamps import shown_time, time_bounds, too_many_wrong
from tfrec.errors import InvalidInput


@dataclass
class Log:
    """A cleaned log.

    Attributes:
        histories: The events, one row per user.
        kinds: Names of the event kinds, indexed by `Histories.events`.
        unknown_items: Ids that occur in events but not in the catalogue; their indices follow the catalogue's.
        part: int8 `[events]`, 0 train, 1 valid, 2 test; None unless the split is given.
        context: The context_* columns, one row per event, for ClickRanker.
        rows_read: Number of rows in the source.
        timestamp_unit: The unit of the source's timestamps, or "order".
        unused_columns: Columns of the source that were ignored.
        problems: Invalid rows by reason: count and examples.
        dropped: Rows removed by cleaning rules, by rule: count and examples.
        notes: Messages for the user.
        notices: What the console should say, most of it found while reading.
    """

    histories: Histories
    kinds: list[str]
    unknown_items: list[str]
    part: NDArray[np.int8] | None
    context: pl.DataFrame
    rows_read: int
    timestamp_unit: str
    unused_columns: list[str]
    problems: dict[str, Any]
    dropped: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def build_log(raw: pl.LazyFrame, catalogue: pl.DataFrame, config: DataConfig, given_split: bool = False) -> Log:
    """Validates and cleans raw events.

    Users are sorted by id, and the events of each user by time; equal times as `data.ties` says.

    Args:
        raw: The events with our column names, as `read` returns them.
        catalogue: The items; their ids are distinct strings.
        config: The `data` section of the configuration.
        given_split: Whether the column split assigns events to train, valid and test.

    Raises:
        InvalidInput: A column is missing or has an unusable type, or no event is left.
    """
    if given_split:
        require(raw, "events", [schema.SPLIT])
    typed, facts = typed_events(raw, config)
    if not given_split:
        typed = typed.drop(schema.SPLIT, strict=False)
    indexed, names = index_ids(typed, catalogue[schema.ITEM_ID], config)
    rows = indexed.height
    if not rows:
        raise InvalidInput("events are empty. At least one row is needed.")
    problems = invalid_rows(raw, typed, indexed)
    if facts.clock:
        indexed = _within_bounds(indexed, raw, config, facts, problems)
    indexed = _newest(_until(indexed, config.until, facts.clock), config.max_age, facts)
    indexed, names = under_pseudonyms(indexed, names, problems, config.pseudonym_key)
    indexed = indexed.drop_nulls([schema.USER, schema.ITEM_ID, schema.TIMESTAMP])
    if indexed.is_empty():
        hint = f" {', '.join(names.null_words)}: data.null_words has it for none." if names.null_words else ""
        raise InvalidInput(
            f"None of {rows} events is usable: {_summary(problems)}.{hint} Check the columns of the events."
        )
    indexed, kinds, said = with_dislikes(indexed, names.kinds, config, facts.default_event_used)
    notices = facts.notices + said + _about_ids(names, config)
    indexed, names = _drop_absent_kinds(indexed, replace(names, kinds=kinds))
    order = [schema.USER, schema.TIMESTAMP, schema.SPLIT] if given_split else [schema.USER, schema.TIMESTAMP]
    ordered = sort_stable(indexed, order)
    if config.ties == "drawn":
        ordered = order_ties(ordered, names, order)
    cleaned, dropped, repeated, notes = _clean(ordered, names.kinds, config, facts.clock)
    del indexed
    if repeated:
        problems["exact_duplicate"] = repeated
    for rule in (problems, dropped):
        _name_examples(rule, names)
    if cleaned.is_empty():
        raise InvalidInput(
            f"Cleaning left none of {rows} events: {_summary(problems | dropped)}. Relax the cleaning rules."
        )
    histories, unknown = _histories(cleaned, names, len(catalogue), config, facts)
    part = cleaned[schema.SPLIT].to_numpy() if given_split else None
    return Log(
        histories,
        names.kinds,
        unknown,
        part,
        cleaned.select(f"^{schema.CONTEXT_PREFIX}.*$"),
        rows,
        facts.timestamp_unit,
        facts.unused_columns,
        problems,
        dropped,
        notes,
        notices,
    )


def _within_bounds(
    log: pl.DataFrame, raw: pl.LazyFrame, config: DataConfig, facts: EventFacts, problems: dict[str, Any]
) -> pl.DataFrame:
    """The log with impossible times as null, and counted in `problems`.

    Raises:
        InvalidInput: Too many lie outside the bounds: the column is not what it was read as.
    """
    first, last, latest = time_bounds(config.earliest, config.latest)
    time_of = pl.col(schema.TIMESTAMP)
    wrong = log.select(((time_of < first) | (time_of >= last)).fill_null(False)).to_series()
    count = int(wrong.sum())
    if not count:
        return log
    if config.timestamp_unit != "auto":  # someone has said what they are
        facts.notices.append(Notice(f"events: {count:,} times lie outside {config.earliest} to {latest}.", True))
        return log
    if too_many_wrong(count, log.height):
        worst = log.filter(wrong)[schema.TIMESTAMP][0]
        worst_raw = examples(raw, wrong)[0][schema.TIMESTAMP]
        raise InvalidInput(
            f"events: {count:,} of {log.height:,} times lie outside {config.earliest} to {latest}, "
            f"e.g. {worst_raw!r}, read as {facts.timestamp_unit}: {shown_time(worst)}. "
            "Say what they are (data.timestamp_unit, data.events.time_format), or widen data.earliest and data.latest."
        )
    problems["implausible_timestamp"] = {"count": count, "examples": examples(raw, wrong)}
    return log.with_columns(pl.when(~wrong).then(time_of))


def _until(log: pl.DataFrame, end: datetime | None, clock: bool) -> pl.DataFrame:
    """The log without events from `end` on; None keeps all."""
    if end is None:
        return log
    if not clock:
        raise InvalidInput("data.until needs a clock, but the timestamps are order numbers. Leave it out.")
    end = end.replace(tzinfo=UTC) if end.tzinfo is None else end
    microseconds = (end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return log.filter((pl.col(schema.TIMESTAMP) < microseconds) | pl.col(schema.TIMESTAMP).is_null())


def _newest(log: pl.DataFrame, days: float | None, facts: EventFacts) -> pl.DataFrame:
    """The log without events that are more than so many days older than the newest one, counted; None keeps all."""
    if days is None:
        return log
    if not facts.clock:
        raise InvalidInput("data.max_age needs a clock, but the timestamps are order numbers. Leave it out.")
    age = pl.col(schema.TIMESTAMP).max() - pl.col(schema.TIMESTAMP)
    kept = log.filter((age <= days * 86_400e6) | pl.col(schema.TIMESTAMP).is_null())
    if gone := log.height - kept.height:
        facts.notices.append(Notice(f"events: {gone:,} are older than {days:g} days (data.max_age), and left out."))
    return kept


def _about_ids(names: Vocabulary, config: DataConfig) -> list[Notice]:
    notices = [
        Notice(f"events: {count:,} events of {word} are dropped: data.null_words has it for none.", True)
        for word, count in names.null_words.items()
        if count
    ]
    for what, count in names.respelt.items():
        if count:
            notices.append(
                Notice(f"events: {count:,} ids of {what} were read as other spellings of ids that are there.")
            )
    read_as = spelt_otherwise(names.raw_kinds, config.event_map)
    if read_as:
        notices.append(Notice("events: kinds read " + ", ".join(f"{a!r} as {b}" for a, b in read_as.items()) + "."))
    return notices


def _drop_absent_kinds(log: pl.DataFrame, names: Vocabulary) -> tuple[pl.DataFrame, Vocabulary]:
    """Removes the kinds that occurred only in unusable rows."""
    counts = np.bincount(log[schema.EVENT].to_numpy(), minlength=len(names.kinds))
    if counts.all():
        return log, names
    codes = (np.cumsum(counts > 0) - 1).astype(np.int16)
    log = log.with_columns(pl.Series(schema.EVENT, codes[log[schema.EVENT].to_numpy()]))
    return log, replace(names, kinds=[kind for kind, count in zip(names.kinds, counts) if count])


def _clean(
    log: pl.DataFrame, kinds: list[str], config: DataConfig, clock: bool
) -> tuple[pl.DataFrame, dict[str, Any], dict[str, Any] | None, list[str]]:
    dropped: dict[str, Any] = {}
    notes: list[str] = []

    def drop(log: pl.DataFrame, bad: NDArray[np.bool_], name: str) -> pl.DataFrame:
        if bad.any():
            examples = log.filter(pl.Series(bad)).head(EXAMPLES)
            dropped[name] = {"count": int(bad.sum()), "examples": list(examples.iter_rows(named=True))}
            log = log.filter(pl.Series(~bad))
        return log

    if config.exact_duplicates == "drop":
        log = drop(log, clean.exact_duplicates(log), "exact_duplicate")
    repeated = dropped.pop("exact_duplicate", None)
    clock_rules = {
        "near_duplicate_seconds": config.near_duplicate_seconds,
        "max_events_per_minute": config.max_events_per_minute,
    }
    if not clock and any(value is not None for value in clock_rules.values()):
        names = [f"data.{name}" for name, value in clock_rules.items() if value is not None]
        notes.append(f"{' and '.join(names)} is off: the timestamps are order numbers, not a clock.")
    if clock and config.near_duplicate_seconds is not None:
        log = drop(log, clean.near_duplicates(log, config.near_duplicate_seconds), "near_duplicate")
    if clock and config.max_events_per_minute is not None:
        log = drop(log, clean.inhuman_rate(log, config.max_events_per_minute), "inhuman_rate")
    if config.min_user_events > 1 or config.min_item_events > 1:
        log = drop(log, clean.outside_core(log, config.min_user_events, config.min_item_events), "outside_core")
    if config.normalise_ratings and schema.RATING in kinds:
        log = clean.centre_ratings(log, kinds.index(schema.RATING))
    return log, dropped, repeated, notes


def _histories(
    log: pl.DataFrame, names: Vocabulary, catalogue_size: int, config: DataConfig, facts: EventFacts
) -> tuple[Histories, list[str]]:
    """Histories, and the ids of the remaining unknown items.

    Users and unknown items without events are removed; the catalogue keeps all its items.
    """
    user, item = log[schema.USER].to_numpy(), log[schema.ITEM_ID].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], user[1:] != user[:-1]]))
    occurring = np.zeros(len(names.items), bool)
    occurring[item] = True
    occurring[:catalogue_size] = True
    if not occurring.all():
        item = (np.cumsum(occurring) - 1).astype(np.int32)[item]
    histories = Histories(
        names.users.gather(user[starts]).to_numpy(),
        np.append(starts, len(user)).astype(np.int64),
        item,
        log[schema.EVENT].to_numpy(),
        log[schema.TIMESTAMP].to_numpy(),
        log[schema.VALUE].fill_null(float("nan")).to_numpy(),
        is_target(log, names.kinds, config, facts.default_event_used),
        facts.clock,
    )
    return histories, names.items.gather(np.flatnonzero(occurring[catalogue_size:]) + catalogue_size).to_list()


def _name_examples(problems: dict[str, Any], names: Vocabulary) -> None:
    """Replaces integers by ids in the examples, in place."""
    for problem in problems.values():
        for row in problem["examples"]:
            if isinstance(row, dict) and schema.USER in row:
                row[schema.USER_ID] = names.users[row.pop(schema.USER)]
                row[schema.ITEM_ID] = names.items[row[schema.ITEM_ID]]
                row[schema.EVENT] = names.kinds[row[schema.EVENT]]
                for name in row:
                    row[name] = row[name] if isinstance(row[name], (int, str, type(None))) else str(row[name])


def _summary(problems: dict[str, Any]) -> str:
    counts = [f"{problem['count']} {name.replace('_', ' ')}" for name, problem in problems.items()]
    return ", ".join(counts) or "none"
