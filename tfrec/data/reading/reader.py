"""Everything that a person gives, as a lazy frame with our column names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from tfrec import schema
from tfrec.config.inputs import InputConfig
from tfrec.data.reading.columns import FILE, ROW, map_columns, uses
from tfrec.data.reading.databases import is_database, read_table, without_secrets
from tfrec.data.reading.frames import UNREADABLE, collect, columns_of, unreadable
from tfrec.data.reading.guesses import SECTIONS
from tfrec.data.reading.identifiers import as_id, refuse_unusable_ids
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.open_file import OpenFile, open_file
from tfrec.data.reading.reshape import events_of_flags, events_of_impressions
from tfrec.data.reading.sources import files_of
from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = "str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | pd.DataFrame"

OURS = (schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP, schema.VALUE)


@dataclass
class Input:
    """An input as it was read.

    Attributes:
        frame: With our column names.
        typed: Whether the source has types. If not (CSV and the like), every column is text, as it was written.
        notices: What the console should say.
    """

    frame: pl.LazyFrame
    typed: bool
    notices: list[Notice] = field(default_factory=list)


def read_input(
    source: Source,
    what: str,
    config: InputConfig | None = None,
    columns: Mapping[str, str] | None = None,
    alone: str = "",
) -> Input:
    """Opens files or a frame. The caller's frame is not changed.

    Args:
        source: Path, folder, pattern or URL of files of any kind that `sources` lists, several of them, the URL of a
            database, or a pandas or Polars frame.
        what: "events", "items" or "users", or what else the input is called in messages.
        config: The section of this input in the configuration.
        columns: A column map shared with other inputs; what it names may be missing here.
        alone: Name of the only column of a text of one field a line without a header.

    Raises:
        InvalidInput: The source is missing, unreadable, or of a kind that cannot be told.
    """
    config = config or InputConfig()
    return as_input(open_source(source, what, config, columns, alone), what, config, columns)


def open_source(
    source: Source, what: str, config: InputConfig, columns: Mapping[str, str] | None = None, alone: str = ""
) -> list[OpenFile]:
    """The files of a source as they are, each opened and nothing read that its kind can be told without."""
    return _open(source, what, config, {**(columns or {}), **config.columns}, alone)


def as_input(
    opened: list[OpenFile],
    what: str,
    config: InputConfig,
    columns: Mapping[str, str] | None = None,
    first_row: int = 0,
) -> Input:
    """Opened files as one input with our column names.

    Args:
        opened: At least one.
        what, config, columns: As for `read_input`.
        first_row: The number of the first row, where these are but a part of the files.
    """
    specs = {**(columns or {}), **config.columns}
    frame = _one_frame(opened, what, uses(specs, FILE))
    if uses(specs, ROW):
        frame = frame.with_row_index(ROW, first_row).with_columns(pl.col(ROW).cast(pl.Int64))
    notices = _taken_for(opened, what) + [notice for each in opened for notice in each.notices][:8]
    frame, renamed = _match_case(frame, what, specs)
    notices += renamed
    frame = map_columns(
        frame, config.columns, what, {k: v for k, v in (columns or {}).items() if k not in config.columns}
    )
    if config.flags:
        frame = events_of_flags(frame, config.flags, what)
    if config.impressions:
        frame, notice = events_of_impressions(frame, config.impressions, what)
        notices.append(notice)
    return Input(frame, all(each.typed for each in opened), notices)


def read_ids(source: Source, what: str) -> list[str]:
    """The distinct ids of a list, in its order: the column user_id, or one id a line.

    Raises:
        InvalidInput: no column is called user_id, or there is no id.
    """
    given = read_input(source, what, alone=schema.USER_ID)
    names = columns_of(given.frame, what)
    if schema.USER_ID not in names:
        raise InvalidInput(f"{what} has no column 'user_id'; found {', '.join(map(repr, names))}. Name one of them so.")
    refuse_unusable_ids(given.frame, schema.USER_ID, what)
    dtype = given.frame.collect_schema()[schema.USER_ID]
    ids = given.frame.select(as_id(schema.USER_ID, dtype).alias(schema.USER_ID)).drop_nulls()
    found: list[str] = collect(ids.unique(maintain_order=True), what)[schema.USER_ID].to_list()
    if not found:
        raise InvalidInput(f"{what} holds no user ids; expected one a line.")
    return found


def _open(source: Source, what: str, config: InputConfig, specs: Mapping[str, Any], alone: str) -> list[OpenFile]:
    if isinstance(source, pl.LazyFrame):
        return [OpenFile(source, True, "")]
    if isinstance(source, pl.DataFrame):
        return [OpenFile(source.lazy(), True, "")]
    if hasattr(source, "iloc"):
        try:
            return [OpenFile(pl.from_pandas(_plain_pandas(source)).lazy(), True, "")]
        except (*UNREADABLE, TypeError, ValueError) as error:
            raise unreadable(what, error) from None
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    if isinstance(source, str) and is_database(source):
        return [OpenFile(read_table(source, config.query, what), True, "a database", (), without_secrets(source))]
    if isinstance(source, (str, Path, list, tuple)):
        files = files_of(source, what)
        wanted = {name for name in specs.values() if isinstance(name, str)} | set(OURS)
        return [e for file in files for e in _with_partitions(file, open_file(file, what, config, wanted, alone))]
    raise InvalidInput(
        f"Expected {what} as a path, a pandas or a Polars frame; received {type(source).__name__}. Pass one of these."
    )


def _taken_for(opened: list[OpenFile], what: str) -> list[Notice]:
    """What the files were taken for, in one line."""
    kinds = list(dict.fromkeys(each.kind for each in opened))
    if not kinds[0]:
        return []
    files = opened[0].name if len(opened) == 1 else f"{len(opened):,} files, {opened[0].name} and others"
    return [Notice(f"{what}: {files}: {'; '.join(kinds[:3])}.")]


def _with_partitions(path: Path, opened: list[OpenFile]) -> list[OpenFile]:
    """With the columns that Hive's folder names hold: dt=2024-01-01/part-0.parquet has a column dt."""
    parts = [part.split("=", 1) for part in path.parts[:-1] if re.fullmatch(r"\w+=[^=]+", part)]
    if not parts:
        return opened
    columns = [pl.lit(value).alias(name) for name, value in parts]
    return [replace(o, frame=o.frame.with_columns(columns)) for o in opened]


def _one_frame(opened: list[OpenFile], what: str, with_names: bool) -> pl.LazyFrame:
    frames = [o.frame.with_columns(pl.lit(o.name.split(".")[0]).alias(FILE)) if with_names else o.frame for o in opened]
    if len(frames) == 1:
        return frames[0]
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except UNREADABLE as error:
        raise unreadable(what, error) from None


def _match_case(frame: pl.LazyFrame, what: str, specs: Mapping[str, Any]) -> tuple[pl.LazyFrame, list[Notice]]:
    """Our columns under other capitals: USER_ID is user_id where nothing else can be meant."""
    found = columns_of(frame, what)
    wanted = (
        OURS if what not in SECTIONS or what == "events" else (schema.USER_ID if what == "users" else schema.ITEM_ID,)
    )
    renamed = {}
    for ours in wanted:
        theirs = [name for name in found if name.strip().lower() == ours]
        if ours not in found and ours not in specs and len(theirs) == 1:
            renamed[theirs[0]] = ours
    if not renamed:
        return frame, []
    said = ", ".join(f"{theirs!r} as {ours}" for theirs, ours in renamed.items())
    return frame.rename(renamed), [Notice(f"{what}: read {said}.")]


def _plain_pandas(frame: Any) -> Any:
    """A shallow copy with object columns of mixed types as strings. They are common in raw logs; Arrow rejects them."""
    mixed = {}
    for name in frame.columns:
        column = frame[name]
        if str(column.dtype) == "object":
            types = {type(value) for value in column.dropna()}
            if len(types) > 1 and list not in types:
                mixed[name] = column.map(lambda v: None if v is None or v != v else str(v)).astype(object)
    return frame.assign(**mixed).rename(columns=str) if mixed else frame.rename(columns=str)
