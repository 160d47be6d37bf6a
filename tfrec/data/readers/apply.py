"""A well-known log through its reader: its files, made into what `prepare` takes, and its options under a person's."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrec.config import InputConfig, RunConfig
from tfrec.data.readers.log_reader import LogReader
from tfrec.data.reading import Source
from tfrec.data.reading.sources import files_of
from tfrec.data.reading.unpack import magic, zip_members
from tfrec.errors import InvalidInput


@dataclass(frozen=True)
class ReadAs:
    """A log as its reader reads it: what `prepare` takes, and with which configuration and split."""

    events: Source
    items: Source | None
    config: RunConfig
    split: str | None


def read_as(reader: LogReader, events: Source, items: Source | None, config: RunConfig) -> ReadAs:
    """Opens a well-known log.

    Args:
        reader: How it is read.
        events: Its files; or the folder or zip archive that it came as, in which the reader knows its files.
        items: Its catalogue. None: what the folder or archive of the log has of it.
        config: A person's options, which win over the reader's.
    """
    if not isinstance(events, (str, Path, list, tuple)):
        raise InvalidInput(f"--as {reader.name} reads files, received a {type(events).__name__}.")
    together = _download(events)
    if together is None:
        log = files_of(events, "events")
    else:
        log = _matching(together, reader.events)
        if not log:
            raise InvalidInput(f"events: {events} holds none of {', '.join(reader.events)}, which {reader.name} reads.")
        if items is None and reader.items:
            items = _matching([file for file in together if file not in log], reader.items) or None
    merged = RunConfig().with_values({"data": dict(reader.options)}).with_values(_changes(config, RunConfig()))
    made: dict[str, Any] = {}
    if reader.make_events is not None:
        made["events"] = reader.make_events(log, merged)
    if reader.make_items is not None and isinstance(items, (str, Path, list, tuple)):
        made["items"] = reader.make_items(files_of(items, "items"), merged)
    if items is not None and merged.data.item_columns:
        merged = merged.with_values({"data.item_columns": []})
    for what in made:  # it is in our columns already
        merged = merged.with_values({f"data.{what}": InputConfig().model_dump()})
    return ReadAs(made.get("events", log), made.get("items", items), merged, reader.split)


def _download(source: Any) -> list[Path] | None:
    """All files of a folder or zip archive; None for anything else."""
    single = source[0] if isinstance(source, (list, tuple)) and len(source) == 1 else source
    if not isinstance(single, (str, Path)) or "://" in str(single):
        return None
    path = Path(single)
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.is_file() and magic(path) == "zip":
        return zip_members(path, "events")
    return None


def _matching(files: Sequence[Path], patterns: Sequence[str]) -> list[Path]:
    return [file for file in files if any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns)]


def _changes(config: Any, default: Any) -> dict[str, Any]:
    """What differs from the defaults, nested."""
    changes: dict[str, Any] = {}
    for name in type(config).model_fields:
        given, usual = getattr(config, name), getattr(default, name)
        if hasattr(given, "model_dump") and type(given) is type(usual):
            inner = _changes(given, usual)
            if inner:
                changes[name] = inner
        elif given != usual:
            changes[name] = given
    return changes
