"""`prepare`: reads, validates, cleans and splits a raw log, and writes a PreparedDataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import DATASET_OUTPUT, FORMAT, PreparedDataset
from tfrec.data.impressions import taken
from tfrec.data.ingest import splits, write
from tfrec.data.ingest.catalogue import read_catalogue
from tfrec.data.ingest.event_log import Log
from tfrec.data.ingest.event_source import EventSource, event_source
from tfrec.data.ingest.findings import notices_of, text_notices, tie_notices
from tfrec.data.ingest.item_text import render_texts
from tfrec.data.ingest.pseudonyms import pseudonyms
from tfrec.data.ingest.text_columns import text_columns
from tfrec.data.readers import read_as, reader_named
from tfrec.data.reading import Input, Notice, Source, collect, read_input, require
from tfrec.data.reading.column_types import with_types, without_unstorable
from tfrec.data.reading.identifiers import as_id, refuse_unusable_ids, spelt_alike
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, check_output_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.progress import say
from tfrec.version import __version__

SPLITS = (schema.LEAVE_ONE_OUT, schema.GLOBAL_TIME, schema.GIVEN)
LOOKS_AHEAD = (
    "leave-one-out looks into the future: training events of one user may be later than test events of another. "
    "Use global-time, if the log has a clock, to estimate how a live system would perform."
)


def prepare(
    events: Source,
    items: Source | None,
    out: str | Path,
    *,
    users: Source | None = None,
    split: str | None = None,
    config: ConfigSource = None,
    reader: str | None = None,
    force: bool = False,
) -> PreparedDataset:
    """Cleans a behaviour log and a catalogue, splits the log, and writes both to a folder.

    Invalid rows (blank ids, unreadable timestamps) and exact duplicates are dropped and counted; with `data.strict`
    they are an error. Items that occur only in events are kept, with empty text, and marked: they are read in
    histories and not recommended (`retrieval.only_catalogue`). Events of one user with equal timestamps have an
    order that does not depend on the file's (`data.ties`). The same input and configuration produce the same bytes.

    Args:
        events: Files of any kind that `tfrec.data.reading` reads (a path, folder, pattern or URL, or several), or a
            pandas or Polars frame, with the columns user_id, item_id and timestamp, and optionally event, value, split
            and context_* (kept with each event). `data.events.columns` maps other names.
        items: The catalogue, in the same forms: item_id and any other columns. None: the items of the log, with its
            columns that `data.item_columns` names.
        out: Folder to write, atomically.
        users: Optional table of users: user_id and any other columns.
        split: "leave-one-out", "global-time" or "given" (the events' column split says train, valid or test).
            Defaults to global-time if the log has a clock, else to leave-one-out.
        config: A RunConfig, a mapping of options or a YAML file; the sections `data` and
            `cluster` are used. None for the defaults.
        reader: Name of a well-known log (`tfrec prepare --as list`): `events` is then its files, or the folder or zip
            archive that it came as.
        force: Whether to replace an existing folder.

    Returns:
        The dataset that was written.

    Raises:
        InvalidInput: The input is unreadable or empty, a column is missing, no event is left after cleaning, or the
            split is not possible.

    Example:
        >>> import tempfile
        >>> log = pl.DataFrame({"user_id": ["u"] * 4, "item_id": ["a", "b", "a", "c"], "timestamp": [0, 1, 2, 3]})
        >>> catalogue = pl.DataFrame({"item_id": ["a", "b"], "title": ["Tea", "Pot"]})
        >>> data = prepare(log, catalogue, tempfile.mkdtemp() + "/data", split="leave-one-out")
        >>> data.item_ids.tolist(), data.queries("test").history.items.tolist()
        (['a', 'b', 'c'], [0, 1, 0])
    """
    config = as_run_config(config)
    check_output_folder(out, DATASET_OUTPUT, force)
    if split is not None and split not in SPLITS:
        raise InvalidInput(f"Expected split to be one of {', '.join(SPLITS)}; received {split!r}.")
    if reader is not None:
        known = read_as(reader_named(reader), events, items, config)
        events, items, config, split = known.events, known.items, known.config, split or known.split
    with event_source(events, config, Path(out)) as log:
        return _prepare(log, items, users, Path(out), split, config, force)


def _prepare(
    source: EventSource,
    items: Source | None,
    users: Source | None,
    out: Path,
    split: str | None,
    config: RunConfig,
    force: bool,
) -> PreparedDataset:
    given = {"events": source.input}
    if items is not None:
        given["items"] = read_input(items, "items", config.data.items, config.data.columns)
    if users is not None:
        given["users"] = read_input(users, "users", config.data.users, config.data.columns)
    notices = _said(notice for each in given.values() for notice in each.notices)
    catalogue, item_problems, about = read_catalogue(given.get("items"), given["events"].frame, config.data)
    notices += _said(about)
    log = source.build(catalogue, split == schema.GIVEN)
    notices += _said([*log.notices, *notices_of(log, catalogue, item_problems)])
    split = split or (schema.GLOBAL_TIME if log.histories.clock else schema.LEAVE_ONE_OUT)
    parts, held = _split(log, split, config), None
    if config.data.held_out_items:
        num_items = catalogue.height + len(log.unknown_items)
        parts, held = splits.hold_out(log.histories, parts, num_items, config.data.held_out_items)
    table, no_text = _item_table(catalogue, log, parts, held, config)
    notices += _said(text_notices(table.head(catalogue.height)[schema.TEXT], config.encoder.seq_length))
    notices += _said(tie_notices(log.histories, parts, split))
    _refuse_when_strict(config.data.strict, item_problems, log.problems, notices)
    user_table = _user_table(given["users"], log, config.data.pseudonym_key) if "users" in given else None
    report = _report(
        log, parts, split, item_problems, table, no_text, config.data.text_template or text_columns(catalogue)
    )
    for note in report["notes"]:
        say(note)
    with atomic_folder(out, DATASET_OUTPUT, force) as folder:
        write.items(folder, table)
        write.sequences(folder, log.histories, log.context)
        write.split(folder, log.histories, parts)
        if user_table is not None:
            write.parquet(user_table, folder / "users.parquet")
        write.report(folder, report)
        write_json(folder / "manifest.json", _manifest(folder, log, parts, split, config, report))
    return PreparedDataset.load(out)


def _said(notices: Iterable[Notice]) -> list[Notice]:
    """The notices, said as soon as they are known: an error that follows is read beside them."""
    listed = list(notices)
    for notice in listed:
        say(str(notice))
    return listed


def _refuse_when_strict(
    strict: bool, item_problems: dict[str, Any], event_problems: dict[str, Any], notices: list[Notice]
) -> None:
    problems = {f"items: {k}": v for k, v in item_problems.items()} | {
        f"events: {k}": v for k, v in event_problems.items()
    }
    lines = [f"  {name}: {p['count']} rows, e.g. {p['examples'][0]}" for name, p in problems.items()]
    lines += [f"  {notice.text}" for notice in notices if notice.warning]
    if strict and lines:
        raise InvalidInput(
            "data.strict is on, and there are invalid rows:\n" + "\n".join(lines) + "\nFix them, or turn strict off."
        )


def _split(log: Log, split: str, config: RunConfig) -> splits.Split:
    if split == schema.GLOBAL_TIME:
        return splits.global_time(log.histories, config.data.valid_quantile, config.data.test_quantile)
    if split == schema.GIVEN:
        assert log.part is not None
        return splits.given(log.histories, log.part)
    return splits.leave_one_out(log.histories)


def _item_table(
    catalogue: pl.DataFrame, log: Log, parts: splits.Split, held: np.ndarray | None, config: RunConfig
) -> tuple[pl.DataFrame, list[str]]:
    texts = render_texts(catalogue, config.data.text_template, config.data.normalise_text)
    ours = (schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, schema.IN_CATALOGUE)
    given = catalogue.drop([name for name in ours if name in catalogue.columns])
    table = given.with_columns(pl.Series(schema.TEXT, texts, pl.String))
    unknown = pl.DataFrame({schema.ITEM_ID: log.unknown_items}, {schema.ITEM_ID: pl.String})
    if table.height and unknown.height:  # an empty catalogue says of no item that it is gone
        table = table.with_columns(pl.lit(True).alias(schema.IN_CATALOGUE))
        unknown = unknown.with_columns(pl.lit(False).alias(schema.IN_CATALOGUE))
    table = pl.concat([table, unknown], how="diagonal")
    counted = splits.in_training(log.histories, parts.train_length) & taken(log.histories, log.kinds)
    counts = np.bincount(log.histories.items[counted], minlength=table.height).astype(np.uint32)
    if held is not None:
        counts[held] = 0
        table = table.with_columns(pl.Series(schema.HELD_OUT, held))
    first = [schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT]
    table = table.with_columns(pl.col(schema.TEXT).fill_null(""), pl.Series(schema.TRAIN_COUNT, counts))
    table = table.select(*first, pl.exclude(first))
    return table, table.head(catalogue.height).filter(pl.col(schema.TEXT) == "")[schema.ITEM_ID].to_list()


def _user_table(given: Input, log: Log, pseudonym_key: str | None) -> pl.DataFrame:
    require(given.frame, "users", [schema.USER_ID])
    dtype = given.frame.collect_schema()[schema.USER_ID]
    refuse_unusable_ids(given.frame, schema.USER_ID, "users")
    table = without_unstorable(collect(given.frame.with_columns(as_id(schema.USER_ID, dtype)), "users"))
    if not given.typed:
        table = with_types(table, schema.USER_ID)
    table = table.filter(pl.col(schema.USER_ID).is_not_null())
    rows = pl.DataFrame({schema.USER_ID: log.histories.user_ids}, {schema.USER_ID: pl.String})
    if pseudonym_key is not None:
        table = table.with_columns(pl.Series(schema.USER_ID, pseudonyms(table[schema.USER_ID], pseudonym_key)))
    table = table.with_columns(spelt_alike(table[schema.USER_ID], [], rows[schema.USER_ID]).alias(schema.USER_ID))
    table = table.unique(schema.USER_ID, keep="first", maintain_order=True)
    return rows.join(table, on=schema.USER_ID, how="left", maintain_order="left")


def _report(
    log: Log,
    parts: splits.Split,
    split: str,
    item_problems: dict[str, Any],
    table: pl.DataFrame,
    no_text: list[str],
    text_from: str | list[str],
) -> dict[str, Any]:
    h = log.histories
    occurring = np.bincount(h.items, minlength=table.height)
    kinds = np.bincount(h.events, minlength=len(log.kinds))
    notes = [LOOKS_AHEAD] if split == schema.LEAVE_ONE_OUT else []
    notes += log.notes
    if len(parts.test.user) == 0 or len(parts.valid.user) == 0:
        notes.append("A held-out split has no users, so models cannot be validated or tested on it.")
    return {
        "split": split,
        "clock": h.clock,
        "timestamp_unit": log.timestamp_unit,
        "events": {
            "read": log.rows_read,
            "kept": len(h.items),
            "dropped": log.problems | log.dropped,
            "not_targets": int((~h.is_target).sum()),
            "kinds": {kind: int(kinds[i]) for i, kind in enumerate(log.kinds)},
            "kinds_without_defaults": [kind for kind in log.kinds if kind not in schema.EVENT_KINDS],
            "context_columns": log.context.columns,
            "unused_columns": log.unused_columns,
        },
        "users": {"kept": len(h), "median_events": float(np.median(h.lengths))},
        "items": {
            "catalogue": table.height,
            "dropped": item_problems,
            "without_text": {"count": len(no_text), "examples": no_text[:5]},
            "only_in_events": {
                "count": len(log.unknown_items),
                "events": int(occurring[table.height - len(log.unknown_items) :].sum()),
                "examples": log.unknown_items[:5],
            },
            "without_events": int((occurring == 0).sum()),
            "text_from": text_from,
        },
        "splits": _split_counts(h.lengths, parts),
        "notes": notes,
    }


def _split_counts(lengths: np.ndarray, parts: splits.Split) -> dict[str, Any]:
    counts: dict[str, Any] = {
        schema.TRAIN: {"users": int((parts.train_length > 0).sum()), "events": int(parts.train_length.sum())}
    }
    for name, window in ((schema.VALID, parts.valid), (schema.TEST, parts.test)):
        known = window.history_length > 0
        warm = np.bincount(window.query[~window.cold], minlength=len(window.user)) > 0
        counts[name] = {
            "users": int((known & warm).sum()),
            "targets": int((known[window.query] & ~window.cold).sum()),
            "cold_users": int((~known).sum()),
            "cold_item_targets": int((known[window.query] & window.cold).sum()),
        }
    return counts


def _manifest(
    folder: Path, log: Log, parts: splits.Split, split: str, config: RunConfig, report: dict[str, Any]
) -> dict[str, Any]:
    settings = config.data.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps([split, settings], sort_keys=True).encode())
    files = checksums(folder)
    for name in (name for name in files if name.endswith(".parquet")):
        digest.update(f"{name}\0{files[name]}\n".encode())
    h = log.histories
    return {
        "format": FORMAT,
        "fingerprint": digest.hexdigest(),
        "split": split,
        "clock": h.clock,
        "cuts": parts.cuts,
        "event_kinds": log.kinds,
        "counts": {"users": len(h), "items": report["items"]["catalogue"], "events": len(h.items), **report["splits"]},
        "config": settings,
        "versions": {"tfrec": __version__, "polars": pl.__version__, "numpy": np.__version__},
        FILES: files,
    }
