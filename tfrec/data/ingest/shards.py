"""A log in shards: parts of its files that workers read, each like the whole and together in its order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from tfrec.cluster import Workers
from tfrec.config import DataConfig
from tfrec.data.reading.databases import is_database
from tfrec.data.reading.frames import UNREADABLE, collect, first_line
from tfrec.data.reading.open_file import OpenFile
from tfrec.data.reading.reader import Input, Source, as_input, open_source
from tfrec.data.reading.sources import locations
from tfrec.errors import InvalidInput, TfrecError

LEAST_ROWS = 100_000
"""A shard of fewer rows costs more to hand out than to read."""
SHARDS_PER_WORKER = 4
"""So that the last one to finish keeps the others waiting for a short time only."""


@dataclass(frozen=True)
class Shard:
    """Some rows of one file.

    Attributes:
        opened: The file, cut to these rows.
        first_row: Their place in the log.
        schema: The columns of the whole log, whose files may differ, as they are in the source.
    """

    opened: OpenFile
    first_row: int
    schema: pl.Schema

    def frame(self, config: DataConfig) -> pl.LazyFrame:
        """The rows with our column names and the types of the whole log."""
        whole = OpenFile(pl.LazyFrame(schema=self.schema), True, "")
        return as_input([whole, self.opened], "events", config.events, config.columns, self.first_row).frame


@dataclass(frozen=True)
class ShardedInput:
    """The whole log as one input, of which little is read here, and its shards."""

    whole: Input
    shards: list[Shard]


@dataclass(frozen=True)
class _Opened:
    opened: OpenFile
    rows: int


def read_shards(source: Source, config: DataConfig, workers: Workers, spill: Path, least_rows: int) -> ShardedInput:
    """Opens a log so that workers can read it in shards. Parquet stays where it is; other files become columns once.

    Args:
        source: As for `read_input`; files and folders are on storage that all machines share, URLs are fetched by the
            workers, and a frame is written to the spill folder.
        config: The `data` section of the configuration.
        workers: Who opens the files.
        spill: A folder that all machines share.
        least_rows: Rows of a shard, at least, unless its file has fewer.

    Raises:
        InvalidInput: A file cannot be read; the message names it.
    """
    if config.events.impressions:
        raise InvalidInput(
            "data.events.impressions is read by one process only, as it looks at the first rows to see how they are "
            "written. Leave out cluster.engine, or expand the column before."
        )
    if isinstance(source, (str, Path, list, tuple)):
        database = isinstance(source, str) and is_database(source)
        places = [str(source)] if database else locations(source, "events")
        calls = [(place, config, spill) for place in places]
        found = [each for several in workers.map(_open_file, calls, "Opening files") for each in several]
    else:
        opened = open_source(source, "events", config.events, config.columns)
        found = [_counted(_in_columns(each, spill)) for each in opened]
    found = [each for each in found if each.rows] or found[:1]
    whole = as_input([each.opened for each in found], "events", config.events, config.columns)
    return ShardedInput(whole, _cut(found, workers.count, least_rows))


def _open_file(place: str, config: DataConfig, spill: Path) -> list[_Opened]:
    """One file or URL as a worker finds it; a zip archive gives one a member."""
    opened = open_source(place, "events", config.events, config.columns)
    try:
        return [_counted(each if _stays(each, place) else _in_columns(each, spill)) for each in opened]
    except UNREADABLE as error:
        raise InvalidInput(f"events: cannot read {place}: {first_line(error)}") from None


def _stays(each: OpenFile, place: str) -> bool:
    """Whether every worker can read it where it is: not what was unpacked or fetched to one of them."""
    return each.kind == "Parquet" and "://" not in place and each.name == Path(place).name


def _in_columns(each: OpenFile, spill: Path) -> OpenFile:
    path = Path(tempfile.mkdtemp(dir=spill)) / "opened.arrow"
    each.frame.sink_ipc(path, compression="lz4")
    return replace(each, frame=pl.scan_ipc(path))


def _counted(each: OpenFile) -> _Opened:
    return _Opened(each, each.frame.select(pl.len()).collect().item())


@contextmanager
def naming(shard: Shard) -> Iterator[None]:
    """Errors about a shard that cannot be read name its file."""
    name = shard.opened.name
    try:
        yield
    except TfrecError as error:
        raise (InvalidInput(f"{name}: {error}") if name and name not in str(error) else error) from None
    except UNREADABLE as error:
        raise InvalidInput(f"events: cannot read {name}: {first_line(error)}") from None


def name_unreadable(shards: Sequence[Shard], config: DataConfig, workers: Workers) -> None:
    """Reads all shards through; raises `InvalidInput` with the name of the first that cannot be read."""
    workers.map(_read_through, [(shard, config) for shard in shards], "Looking for the file that cannot be read")


def _read_through(shard: Shard, config: DataConfig) -> None:
    with naming(shard):
        collect(shard.frame(config).select(pl.all().null_count()), "events")


def _cut(files: Sequence[_Opened], workers: int, least_rows: int) -> list[Shard]:
    """Shards of about the same number of rows, none over two files."""
    schema = pl.concat([each.opened.frame.clear() for each in files], how="diagonal_relaxed").collect_schema()
    rows = max(least_rows, -(-sum(each.rows for each in files) // (workers * SHARDS_PER_WORKER)), 1)
    shards, before = [], 0
    for each in files:
        for start in range(0, max(each.rows, 1), rows):
            part = replace(each.opened, frame=each.opened.frame.slice(start, rows))
            shards.append(Shard(part, before + start, schema))
        before += each.rows
    return shards
