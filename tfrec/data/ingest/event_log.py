"""Builds the cleaned log. Ids are replaced by integers early, so that a long log fits into memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from tfrec.data.ingest.time_rules import newest, report_age, report_outside, until, within_bounds
from tfrec.data.ingest.validate import EXAMPLES, EventFacts, invalid_rows, typed_events
from tfrec.data.reading.frames import require
from tfrec.data.reading.notices import Notice
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
    columns, facts = typed_events(raw, config)
    typed = raw.select(columns)
    if not given_split:
        typed = typed.drop(schema.SPLIT, strict=False)
    indexed, names = index_ids(typed, catalogue[schema.ITEM_ID], config)
    rows = indexed.height
    refuse_empty(rows)
    problems = invalid_rows(raw, typed, indexed)
    if facts.clock:
        indexed, outside = within_bounds(indexed, raw, config)
        report_outside(outside, config, facts, problems)
    indexed = until(indexed, config.until, facts.clock)
    before = indexed.height
    indexed = newest(indexed, config.max_age, facts.clock)
    report_age(before - indexed.height, config.max_age, facts)
    indexed, names = under_pseudonyms(indexed, names, problems, config.pseudonym_key)
    indexed = indexed.drop_nulls([schema.USER, schema.ITEM_ID, schema.TIMESTAMP])
    refuse_unusable(indexed.height, rows, problems, names)
    indexed, kinds, said = with_dislikes(indexed, names.kinds, config, facts.default_event_used)
    facts.notices += said + about_ids(names, config)
    indexed, names = drop_absent_kinds(indexed, replace(names, kinds=kinds))
    ordered = in_order(indexed, names, config, given_split)
    cleaned, dropped = clean_users(ordered, config, facts.clock)
    del indexed, ordered
    return finish_log(cleaned, names, catalogue.height, config, facts, rows=rows, problems=problems, dropped=dropped)


def refuse_empty(rows: int) -> None:
    """Raises `InvalidInput` where there is no row at all."""
    if not rows:
        raise InvalidInput("events are empty. At least one row is needed.")


def refuse_unusable(usable: int, rows: int, problems: dict[str, Any], names: Vocabulary) -> None:
    """Raises `InvalidInput` where no row is left that has a user, an item and a time."""
    if not usable:
        hint = f" {', '.join(names.null_words)}: data.null_words has it for none." if names.null_words else ""
        raise InvalidInput(
            f"None of {rows} events is usable: {_summary(problems)}.{hint} Check the columns of the events."
        )


def in_order(log: pl.DataFrame, names: Vocabulary, config: DataConfig, given_split: bool) -> pl.DataFrame:
    """The rows by user and time; equal times as `data.ties` says. Users stay apart, so parts of them can be sorted."""
    order = [schema.USER, schema.TIMESTAMP, schema.SPLIT] if given_split else [schema.USER, schema.TIMESTAMP]
    ordered = sort_stable(log, order)
    return order_ties(ordered, names, order) if config.ties == "drawn" else ordered


def finish_log(
    cleaned: pl.DataFrame,
    names: Vocabulary,
    catalogue_size: int,
    config: DataConfig,
    facts: EventFacts,
    *,
    rows: int,
    problems: dict[str, Any],
    dropped: dict[str, Any],
) -> Log:
    """The rules that look at all users at once, and what is left as a log.

    Args:
        cleaned: Of `clean_users`, all users in their order.
        names: The ids behind its integers.
        catalogue_size: Number of items of the catalogue.
        config: The `data` section of the configuration.
        facts: Of `typed_events`, with all notices.
        rows: Number of rows in the source.
        problems: Invalid rows by reason.
        dropped: Of `clean_users`.
    """
    cleaned, by_core = clean_core(cleaned, names.kinds, config)
    dropped = dropped | by_core
    if repeated := dropped.pop("exact_duplicate", None):
        problems["exact_duplicate"] = repeated
    for rule in (problems, dropped):
        name_examples(rule, names)
    if cleaned.is_empty():
        raise InvalidInput(
            f"Cleaning left none of {rows} events: {_summary(problems | dropped)}. Relax the cleaning rules."
        )
    histories, unknown = _histories(cleaned, names, catalogue_size, config, facts)
    part = cleaned[schema.SPLIT].to_numpy() if schema.SPLIT in cleaned.columns else None
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
        _clock_notes(config, facts.clock),
        facts.notices,
    )


def about_ids(names: Vocabulary, config: DataConfig) -> list[Notice]:
    """What the console should say of how ids and kinds were read."""
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


def drop_absent_kinds(
    log: pl.DataFrame, names: Vocabulary, counts: NDArray[np.int64] | None = None
) -> tuple[pl.DataFrame, Vocabulary]:
    """Removes the kinds that occurred only in unusable rows; `counts` says how often each did, if not in these."""
    if counts is None:
        counts = np.bincount(log[schema.EVENT].to_numpy(), minlength=len(names.kinds))
    if counts.all():
        return log, names
    codes = (np.cumsum(counts > 0) - 1).astype(np.int16)
    log = log.with_columns(pl.Series(schema.EVENT, codes[log[schema.EVENT].to_numpy()]))
    return log, replace(names, kinds=[kind for kind, count in zip(names.kinds, counts) if count])


def clean_users(log: pl.DataFrame, config: DataConfig, clock: bool) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The log without what the rules that look at one user drop, and what that was, by rule: count and examples."""
    dropped: dict[str, Any] = {}
    if config.exact_duplicates == "drop":
        log = _without(log, clean.exact_duplicates(log), "exact_duplicate", dropped)
    if clock and config.near_duplicate_seconds is not None:
        log = _without(log, clean.near_duplicates(log, config.near_duplicate_seconds), "near_duplicate", dropped)
    if clock and config.max_events_per_minute is not None:
        log = _without(log, clean.inhuman_rate(log, config.max_events_per_minute), "inhuman_rate", dropped)
    return log, dropped


def clean_core(log: pl.DataFrame, kinds: list[str], config: DataConfig) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The log without what is outside the k-core, with centred ratings where they are wanted, and what was dropped."""
    dropped: dict[str, Any] = {}
    if config.min_user_events > 1 or config.min_item_events > 1:
        outside = clean.outside_core(log, config.min_user_events, config.min_item_events)
        log = _without(log, outside, "outside_core", dropped)
    if config.normalise_ratings and schema.RATING in kinds:
        log = clean.centre_ratings(log, kinds.index(schema.RATING))
    return log, dropped


def _without(log: pl.DataFrame, bad: NDArray[np.bool_], name: str, dropped: dict[str, Any]) -> pl.DataFrame:
    if not bad.any():
        return log
    shown = log.filter(pl.Series(bad)).head(EXAMPLES)
    dropped[name] = {"count": int(bad.sum()), "examples": list(shown.iter_rows(named=True))}
    return log.filter(pl.Series(~bad))


def _clock_notes(config: DataConfig, clock: bool) -> list[str]:
    clock_rules = {
        "near_duplicate_seconds": config.near_duplicate_seconds,
        "max_events_per_minute": config.max_events_per_minute,
    }
    if clock or all(value is None for value in clock_rules.values()):
        return []
    names = [f"data.{name}" for name, value in clock_rules.items() if value is not None]
    return [f"{' and '.join(names)} is off: the timestamps are order numbers, not a clock."]


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


def name_examples(problems: dict[str, Any], names: Vocabulary) -> None:
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
