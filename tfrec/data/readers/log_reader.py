"""What a reader of a well-known log says: its files, its options, and what is odd about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tfrec.config import InputConfig, RunConfig
from tfrec.data.reading import read_input
from tfrec.progress import say

Files = Sequence[Path]


def opened(files: Files, what: str, config: RunConfig, own: InputConfig | None = None) -> pl.LazyFrame:
    """Files of an input with our column names; says what they were taken for.

    Args:
        files: The files.
        what: "events" or "items".
        config: The configuration, of which the section of the input is used.
        own: Another section, where one does not serve all files.
    """
    section: InputConfig = own or getattr(config.data, what)
    given = read_input(list(files), what, section, config.data.columns)
    for notice in given.notices:
        say(str(notice))
    return given.frame


@dataclass(frozen=True)
class LogReader:
    """How a well-known log is read.

    Attributes:
        name: After `--as`.
        about: One line: what is read, and what is odd about it.
        events: Patterns of the files of the log inside the folder that it comes in.
        items: Patterns of the files of the catalogue; () where there is none.
        options: Options of the section `data`; those that a person gives win.
        split: The split that suits it; None for the usual one.
        make_events: Makes the log of its files, where no option says how.
        make_items: Makes the catalogue of its files, where no option says how.
    """

    name: str
    about: str
    events: tuple[str, ...]
    items: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    make_events: Callable[[Files, RunConfig], pl.LazyFrame] | None = None
    make_items: Callable[[Files, RunConfig], pl.LazyFrame] | None = None
