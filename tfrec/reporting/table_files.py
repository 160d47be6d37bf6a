"""Writes tables as Parquet, CSV or JSON lines, depending on the file suffix, atomically."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec.errors import InvalidInput
from tfrec.files import atomic_file, check_output_file
from tfrec.progress import say

if TYPE_CHECKING:
    import polars as pl

_RUN = r"^[=+\-@\t\r\n]"
_NUMBER = r"^[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?$"
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
    """Writes a frame atomically, in the format of the suffix of `path`. In CSV, cells are as `cells_as_text` says.

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
            cells_as_text(frame).write_csv(work)
        else:
            frame.write_ndjson(work)


def cells_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of which a spreadsheet runs nothing: texts that it would take for formulas begin with an apostrophe.

    Ids and texts are other people's words, and a spreadsheet runs a cell that begins with = + - @, a tab or a line
    break, quoted or not. Numbers such as -5 stay as they are. What was changed is said.

    Example:
        >>> import polars as pl
        >>> cells_as_text(pl.DataFrame({"item_id": ["=1+1", "-5", "a=1"]}))["item_id"].to_list()
        ["'=1+1", '-5', 'a=1']
    """
    import polars as pl

    texts = [name for name, dtype in frame.schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    frame = frame.with_columns(pl.col(texts).cast(pl.String))
    run = {name: pl.col(name).str.contains(_RUN) & ~pl.col(name).str.contains(_NUMBER) for name in texts}
    names = {name: f"'{name}" for name in frame.columns if re.match(_RUN, name)}
    changed = len(names) + sum(frame.select(cells.sum()).item() for cells in run.values())
    if changed:
        say(
            f"{changed:,} cells begin with =, +, - or @: in CSV an apostrophe comes before them, so that spreadsheets "
            "take them for text. Parquet and JSON lines keep them as they are."
        )
    return frame.with_columns(
        pl.when(cells).then(pl.concat_str(pl.lit("'"), pl.col(name))).otherwise(pl.col(name)).alias(name)
        for name, cells in run.items()
    ).rename(names)
