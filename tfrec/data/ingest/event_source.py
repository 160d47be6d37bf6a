"""The log that is to be prepared: read by this process, or in shards by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tfrec.cluster import workers_of
from tfrec.config import RunConfig
from tfrec.data.ingest.event_log import Log, build_log
from tfrec.data.ingest.sharded_log import build_sharded_log
from tfrec.data.ingest.shards import LEAST_ROWS, name_unreadable, read_shards
from tfrec.data.reading import Input, Source, read_input
from tfrec.data.reading.frames import Unreadable
from tfrec.files import staged_folder


@dataclass(frozen=True)
class EventSource:
    """A log that was opened.

    Attributes:
        input: The log with our column names.
        build: Makes the cleaned log, of the catalogue and whether the column split is read.
    """

    input: Input
    build: Callable[[pl.DataFrame, bool], Log]


@contextmanager
def event_source(source: Source, config: RunConfig, out: Path) -> Iterator[EventSource]:
    """Opens a log, with the workers of `cluster.engine` if there are any.

    Args:
        source: As for `read_input`.
        config: Its sections `data` and `cluster` are used.
        out: What is to be written; what is between the steps goes beside it, if nowhere else.

    Raises:
        InvalidInput: As for `read_input`.
        Unavailable: There is no such cluster.
    """
    if config.cluster.engine == "none":
        given = read_input(source, "events", config.data.events, config.data.columns)
        yield EventSource(given, lambda items, given_split: build_log(given.frame, items, config.data, given_split))
        return
    beside = Path(config.cluster.spill) / out.name if config.cluster.spill else out
    with workers_of(config.cluster) as workers, staged_folder(beside.absolute()) as spill:
        sharded = read_shards(source, config.data, workers, spill, LEAST_ROWS)

        def build(items: pl.DataFrame, given_split: bool) -> Log:
            return build_sharded_log(
                sharded.shards, sharded.whole.frame, items, config.data, workers, spill, given_split
            )

        try:
            yield EventSource(sharded.whole, build)
        except Unreadable:
            name_unreadable(sharded.shards, config.data, workers)
            raise
