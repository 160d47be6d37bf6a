"""`prepare`: reads, validates, cleans and splits a raw log, and writes a PreparedDataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.assemble import assemble
from tfrec.data.dataset import DATASET_OUTPUT, PreparedDataset
from tfrec.data.ingest.catalogue import read_catalogue
from tfrec.data.ingest.contacts import without_contacts
from tfrec.data.ingest.event_log import Log
from tfrec.data.ingest.event_source import EventSource, event_source
from tfrec.data.ingest.findings import notices_of, text_notices, tie_notices
from tfrec.data.ingest.pseudonyms import pseudonyms
from tfrec.data.readers import read_as, reader_named
from tfrec.data.reading import Input, Notice, Source, collect, read_input, require
from tfrec.data.reading.column_types import with_types, without_unstorable
from tfrec.data.reading.identifiers import as_id, refuse_unusable_ids, spelt_alike
from tfrec.errors import InvalidInput
from tfrec.files import check_output_folder
from tfrec.progress import say

SPLITS = (schema.LEAVE_ONE_OUT, schema.GLOBAL_TIME, schema.GIVEN)


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
    if config.data.scrub_contacts:
        catalogue = without_contacts(catalogue, config.data.scrub_region)
    log = source.build(catalogue, split == schema.GIVEN)
    notices += _said([*log.notices, *notices_of(log, catalogue, item_problems)])
    split = split or (schema.GLOBAL_TIME if log.histories.clock else schema.LEAVE_ONE_OUT)
    assembled = assemble(log, catalogue, split, config, item_problems)
    texts = assembled.items.head(catalogue.height)[schema.TEXT]
    notices += _said(text_notices(texts, config.encoder.seq_length))
    notices += _said(tie_notices(log.histories, assembled.parts, split))
    _refuse_when_strict(config.data.strict, item_problems, log.problems, notices)
    user_table = _user_table(given["users"], log, config.data.pseudonym_key) if "users" in given else None
    for note in assembled.report["notes"]:
        say(note)
    assembled.write(out, user_table, items_of_log=items is None, force=force)
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
