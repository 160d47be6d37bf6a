"""Writes tables as Parquet, CSV or JSON lines, depending on the file suffix, atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec.errors import InvalidInput
from tfrec.files import refuse_existing

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
    refuse_existing(path, force)
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"{path} is not a file in an existing folder. Choose another path.")


def write_frame(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes a frame atomically, in the format of the suffix of `path`."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(temporary)
        elif path.suffix == ".csv":
            frame.write_csv(temporary)
        else:
            frame.write_ndjson(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
