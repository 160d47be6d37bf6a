"""Runs lazy frames over files that people gave: whatever is wrong with them is an `InvalidInput`."""

from __future__ import annotations

from typing import Any

import polars as pl

from tfrec.data.reading.guesses import mapping_flags
from tfrec.errors import InvalidInput

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError)
"""What reading a file that someone else wrote may raise."""


class Unreadable(InvalidInput):
    """A file of an input cannot be read, which may show only when its rows are."""


def collect(frame: pl.LazyFrame, what: str) -> pl.DataFrame:
    """Runs a lazy frame. Raises `InvalidInput` instead of Polars' errors if the source is unreadable."""
    return collect_all([frame], what)[0]


def collect_all(frames: list[pl.LazyFrame], what: str) -> list[pl.DataFrame]:
    """Runs several lazy frames, reading a common source once. Raises the same errors as `collect`."""
    try:
        return pl.collect_all(frames, engine="streaming")
    except UNREADABLE as error:
        raise unreadable(what, error) from None


def columns_of(frame: pl.LazyFrame, what: str) -> list[str]:
    """The column names. Raises `InvalidInput` if the source turns out to be unreadable."""
    try:
        return frame.collect_schema().names()
    except UNREADABLE as error:
        raise unreadable(what, error) from None


def unreadable(what: str, error: BaseException) -> Unreadable:
    """The error to raise for an input that Polars or the system cannot read."""
    text = first_line(error)
    if "more fields than" in text:
        text = (
            "a line has more fields than the first one. Are the separator and the quoting right? "
            f"They are data.{what}.separator and data.{what}.quote."
        )
    return Unreadable(f"Cannot read the {what}: {text}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def require(frame: pl.LazyFrame, what: str, needed: list[str]) -> None:
    """Raises `InvalidInput` if a needed column is missing; the message ends with flags to paste.

    Args:
        frame: The frame to check.
        what: "events", "items" or "users"; used in error messages.
        needed: Names of the needed columns.
    """
    found = columns_of(frame, what)
    missing = [name for name in needed if name not in found]
    if missing:
        flags = mapping_flags(found, missing, what)
        raise InvalidInput(
            f"{what} have no column {', '.join(map(repr, missing))}; found {', '.join(map(repr, leaves(frame)))}. "
            f"Rename it, or pass {flags}"
        )


def leaves(frame: pl.LazyFrame) -> list[str]:
    """The columns as a column map names them: those inside structs, and inside lists of structs, one by one.

    Example:
        >>> leaves(pl.LazyFrame({"session": [1], "events": [[{"aid": 7, "at": {"ts": 0}}]], "tags": [["a"]]}))
        ['session', 'events[].aid', 'events[].at.ts', 'tags']
    """
    return [leaf for name, dtype in frame.collect_schema().items() for leaf in _leaves_of(name, dtype)]


def _leaves_of(name: str, dtype: Any) -> list[str]:
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        return _leaves_of(f"{name}[]", dtype.inner)
    if isinstance(dtype, pl.Struct):
        return [leaf for field in dtype.fields for leaf in _leaves_of(f"{name}.{field.name}", field.dtype)]
    return [name]
