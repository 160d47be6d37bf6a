"""Writes tables as Parquet, CSV or JSON lines, depending on the file suffix, atomically."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfrec.errors import InvalidInput
from tfrec.files import atomic_file, check_output_file

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".parquet", ".csv", ".jsonl")


def check_output(path: str | Path, force: bool = False) -> None:
    """Raises `InvalidInput` if a table cannot be written to `path`. Call it before any long work.

    Args:
        path: The file to write.
        force: Whether an existing file may be replaced.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise InvalidInput(f"Expected a file that ends with one of {', '.join(_SUFFIXES)}, received {path.name!r}.")
    check_output_file(path, force)


def write_frame(frame: pl.DataFrame, path: str | Path, force: bool = False) -> None:
    """Writes a frame atomically, in the format of the suffix of `path`.

    Args:
        frame: The frame.
        path: The file to write.
        force: Whether an existing file may be replaced.
    """
    path = Path(path)
    with atomic_file(path, replace=force) as work:
        if path.suffix == ".parquet":
            frame.write_parquet(work)
        elif path.suffix == ".csv":
            frame.write_csv(work)
        else:
            frame.write_ndjson(work)
