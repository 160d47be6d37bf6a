"""Builds the cleaned log of shards: workers read, index and sort; the result is that of `build_log`, row for row.

Two steps over the shards, as in one process: the distinct ids, then the rows with integers for ids. Users are numbered
in the order of their ids, so a part of the users is a range of numbers, and the parts one after the other are the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.cluster import Workers
from tfrec.config import DataConfig
from tfrec.data.ingest import pseudonyms
from tfrec.data.ingest.event_log import (
    Log,
    about_ids,
    clean_users,
    drop_absent_kinds,
    finish_log,
    in_order,
    name_examples,
    refuse_empty,
    refuse_unusable,
)
from tfrec.data.ingest.index_ids import IdCodes, Vocabulary, distinct_ids, id_codes, indexed_rows
from tfrec.data.ingest.shards import Shard, naming
from tfrec.data.ingest.targets import (
    Dislikes,
    Ratings,
    dislike_notices,
    dislikes_among,
    mark_dislikes,
    ratings_of,
)
from tfrec.data.ingest.time_rules import Outside, newest, report_age, report_outside, until, within_bounds
from tfrec.data.ingest.validate import EXAMPLES, INVALID, EventFacts, invalid_rows, typed_events
from tfrec.data.reading.frames import collect, require

PARTS_PER_WORKER = 2
_KEYS = [schema.USER, schema.ITEM_ID, schema.TIMESTAMP]


@dataclass(frozen=True)
class Plan:
    """What every shard needs to know of the whole log.

    Attributes:
        config: The `data` section of the configuration.
        columns: Of `typed_events`.
        clock: Whether the times are a clock.
        default_used: Whether the log has no kinds.
        given_split: Whether the column split is read.
        spill: The folder for what is between the steps.
    """

    config: DataConfig
    columns: list[pl.Expr]
    clock: bool
    default_used: bool
    given_split: bool
    spill: Path

    def typed(self, raw: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of a shard with our types."""
        typed = raw.select(self.columns)
        return typed if self.given_split else typed.drop(schema.SPLIT, strict=False)


@dataclass(frozen=True)
class Users:
    """The users of the log as numbers: how many, in how many parts, and the place of each under pseudonyms."""

    number: int
    parts: int
    renamed: NDArray[np.uint32] | None = None


@dataclass(frozen=True)
class Rows:
    """The usable rows of a shard, in a file, by part of the users; and what was found in the shard."""

    path: Path
    ends: list[int]
    read: int
    problems: dict[str, Any]
    outside: Outside
    too_old: int
    words: dict[str, int]
    ratings: Ratings


@dataclass(frozen=True)
class Part:
    """The cleaned rows of a part of the users, in a file; and what was found in them."""

    path: Path
    negative: int
    kinds: NDArray[np.int64]
    dropped: dict[str, Any]


def build_sharded_log(
    shards: Sequence[Shard],
    raw: pl.LazyFrame,
    catalogue: pl.DataFrame,
    config: DataConfig,
    workers: Workers,
    spill: Path,
    given_split: bool = False,
) -> Log:
    """Validates and cleans raw events in shards. The log is that of `build_log` for the same rows.

    Args:
        shards: The log, in shards.
        raw: The whole log, as `build_log` takes it. Here, only its columns of times and values are looked at.
        catalogue: The items; their ids are distinct strings.
        config: The `data` section of the configuration.
        workers: Who does the work.
        spill: A folder that all of them share.
        given_split: Whether the column split assigns events to train, valid and test.

    Raises:
        InvalidInput: As for `build_log`.
    """
    if given_split:
        require(raw, "events", [schema.SPLIT])
    columns, facts = typed_events(raw, config)
    plan = Plan(config, columns, facts.clock, facts.default_event_used, given_split, spill)
    codes, names = _ids(shards, plan, catalogue, workers)
    latest = _latest(shards, plan, workers)
    code, shown = None, names
    if config.pseudonym_key is not None:
        code, shown = pseudonyms.pseudonym_codes(names, config.pseudonym_key)
    users = Users(len(names.users), max(1, min(len(names.users), PARTS_PER_WORKER * workers.count)), code)
    shared = workers.share((plan, codes, names.kinds, users, latest))
    rows = workers.map(_index, [(number, each, shared) for number, each in enumerate(shards)], "Reading events")
    problems, ratings, names = _found(rows, config, facts, replace(shown, null_words=_sum([r.words for r in rows])))
    rule = dislikes_among(ratings, names.kinds, config)
    names = replace(names, kinds=rule.kinds)
    shared = workers.share((plan, names, rule, rows))
    parts = workers.map(_clean, [(number, shared) for number in range(users.parts)], "Sorting events")
    facts.notices += dislike_notices(rule, ratings, sum(part.negative for part in parts)) + about_ids(names, config)
    log = pl.concat([pl.read_ipc(part.path) for part in parts])
    counts = np.sum([part.kinds for part in parts], axis=0)
    log, names = drop_absent_kinds(log, names, counts)
    dropped = _joined([part.dropped for part in parts], ("exact_duplicate", "near_duplicate", "inhuman_rate"))
    return finish_log(
        log, names, catalogue.height, config, facts, rows=sum(r.read for r in rows), problems=problems, dropped=dropped
    )


def _ids(shards: Sequence[Shard], plan: Plan, catalogue: pl.DataFrame, workers: Workers) -> tuple[IdCodes, Vocabulary]:
    shared = workers.share(plan)
    found = workers.map(_distinct, [(shard, shared) for shard in shards], "Finding ids")
    distinct = {name: pl.concat([ids[name] for ids in found]).unique() for name in found[0]}
    return id_codes(distinct, catalogue[schema.ITEM_ID], plan.config)


def _distinct(shard: Shard, plan: Plan) -> dict[str, pl.Series]:
    with naming(shard):
        return distinct_ids(plan.typed(shard.frame(plan.config)))


def _latest(shards: Sequence[Shard], plan: Plan, workers: Workers) -> int | None:
    """The time of the newest event, where `data.max_age` needs it."""
    if plan.config.max_age is None or not plan.clock:
        return None
    shared = workers.share(plan)
    times = workers.map(_latest_of, [(shard, shared) for shard in shards], "Finding the newest event")
    return max((time for time in times if time is not None), default=None)


def _latest_of(shard: Shard, plan: Plan) -> int | None:
    with naming(shard):
        raw = shard.frame(plan.config)
        times = collect(plan.typed(raw).select(schema.TIMESTAMP), "events")
        times, _ = within_bounds(times, raw, plan.config)
        latest: int | None = until(times, plan.config.until, plan.clock)[schema.TIMESTAMP].max()  # type: ignore[assignment]
        return latest


def _index(number: int, shard: Shard, shared: tuple[Plan, IdCodes, list[str], Users, int | None]) -> Rows:
    """Reads a shard; writes its usable rows, in their order, one part of the users after the other."""
    plan, codes, kinds, users, latest = shared
    with naming(shard):
        raw = shard.frame(plan.config)
        typed = plan.typed(raw)
        log, words = indexed_rows(typed, codes)
        read, problems, outside = log.height, invalid_rows(raw, typed, log), Outside()
        if plan.clock:
            log, outside = within_bounds(log, raw, plan.config)
    log = until(log, plan.config.until, plan.clock)
    kept = newest(log, plan.config.max_age, plan.clock, latest)
    too_old = log.height - kept.height
    log = kept.drop_nulls(_KEYS)
    if users.renamed is not None:
        log = log.with_columns(pseudonyms.renamed(log[schema.USER], users.renamed))
    part = log[schema.USER].to_numpy().astype(np.int64) * users.parts // max(users.number, 1)
    path = plan.spill / f"rows-{number}.arrow"
    log[np.argsort(part, kind="stable")].write_ipc(path)
    ends = np.cumsum(np.bincount(part, minlength=users.parts)).tolist()
    ratings = ratings_of(log, kinds, plan.config, plan.default_used)
    return Rows(path, ends, read, problems, outside, too_old, words, ratings)


def _found(
    rows: Sequence[Rows], config: DataConfig, facts: EventFacts, names: Vocabulary
) -> tuple[dict[str, Any], Ratings, Vocabulary]:
    """What was found in the shards, together; raises what `build_log` raises of it."""
    read = sum(each.read for each in rows)
    refuse_empty(read)
    problems = _joined([each.problems for each in rows], INVALID)
    report_outside(sum((each.outside for each in rows), Outside()), config, facts, problems)
    report_age(sum(each.too_old for each in rows), config.max_age, facts)
    if config.pseudonym_key is not None:
        pseudonyms.hide_users(problems)
    refuse_unusable(sum(each.ends[-1] for each in rows), read, problems, names)
    return problems, sum((each.ratings for each in rows), Ratings()), names


def _clean(number: int, shared: tuple[Plan, Vocabulary, Dislikes, Sequence[Rows]]) -> Part:
    """Sorts and cleans the rows of a part of the users."""
    plan, names, rule, rows = shared
    pieces = []
    for each in rows:
        start = each.ends[number - 1] if number else 0
        pieces.append(pl.read_ipc(each.path).slice(start, each.ends[number] - start))
    log = pl.concat(pieces).rechunk()
    log, negative = mark_dislikes(log, rule, plan.config, plan.default_used)
    kinds = np.bincount(log[schema.EVENT].to_numpy(), minlength=len(names.kinds))
    dropped: dict[str, Any] = {}
    if log.height:
        log, dropped = clean_users(in_order(log, names, plan.config, plan.given_split), plan.config, plan.clock)
        name_examples(dropped, names)
    path = plan.spill / f"part-{number}.arrow"
    log.write_ipc(path)
    return Part(path, negative, kinds, dropped)


def _joined(found: Sequence[dict[str, Any]], order: Sequence[str]) -> dict[str, Any]:
    """Problems of several parts together: counts, and the first examples."""
    joined = {}
    for name in order:
        parts = [problems[name] for problems in found if name in problems]
        if parts:
            shown = [example for part in parts for example in part["examples"]][:EXAMPLES]
            joined[name] = {"count": sum(part["count"] for part in parts), "examples": shown}
    return joined


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {word: sum(each[word] for each in counts) for word in counts[0]}
