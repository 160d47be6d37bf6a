"""Tables as files that people open: the form is that of the name's ending, and a file is whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec.errors import InvalidInput
from tfrec.files import refuse_existing

if TYPE_CHECKING:
    import polars as pl

_FORMS = (".parquet", ".csv", ".jsonl")


def check_output(path: str | Path, force: bool = False) -> None:
    """Raises `InvalidInput` when a table cannot go to `path`; call it before any work."""
    path = Path(path)
    if path.suffix not in _FORMS:
        raise InvalidInput(f"Expected a file that ends with one of {', '.join(_FORMS)}, received {path.name!r}.")
    refuse_existing(path, force)
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"{path} is not a file in an existing folder. Choose another place.")


def write_frame(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes a frame in the form that the name's ending says, whole or not at all."""
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
