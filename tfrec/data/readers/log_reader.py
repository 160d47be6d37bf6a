"""What a reader of a well-known log says: its files, its options, and what is odd about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tfrec.config import RunConfig

Files = Sequence[Path]


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
