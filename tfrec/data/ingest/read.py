"""Reads logs and catalogues lazily, from files and frames, and renames their columns to ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = "str | Path | pl.DataFrame | pl.LazyFrame | pd.DataFrame"

FORMATS = ".csv, .csv.gz, .tsv, .tsv.gz, .parquet, .jsonl, .jsonl.gz"


def read(source: Source, what: str, columns: Mapping[str, str], text_only: bool = False) -> pl.LazyFrame:
    """Opens a file or frame as a lazy frame with our column names. The caller's frame is not changed.

    Args:
        source: Path of a CSV, TSV, Parquet or JSONL file (CSV, TSV and JSONL also gzipped), or a pandas or Polars
            frame.
        what: "events", "items" or "users"; used in error messages.
        columns: Maps our column names to those of the source.
        text_only: Whether to read every CSV column as a string. Logs are read so, and checked row by row later.

    Raises:
        InvalidInput: The file is missing, unreadable or in an unknown format.
    """
    frame = _scan(source, what, set(columns.values()) | {schema.USER_ID, schema.ITEM_ID}, text_only)
    names = columns_of(frame, what)
    # One mapping serves all inputs, so a column that is missing here may belong to another input. Required columns are
    # checked where they are used.
    chosen = {theirs: ours for ours, theirs in columns.items() if theirs in names and theirs != ours}
    shadowed = [ours for ours in chosen.values() if ours in names and ours not in chosen]
    return frame.drop(shadowed).rename(chosen)


def columns_of(frame: pl.LazyFrame, what: str) -> list[str]:
    """The column names. Raises `InvalidInput` if the source turns out to be unreadable."""
    try:
        return frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"Cannot read the {what}: {_first_line(error)}") from None


def require(frame: pl.LazyFrame, what: str, needed: list[str]) -> None:
    """Raises `InvalidInput` if a needed column is missing; the message says how to map it.

    Args:
        frame: The frame to check.
        what: "events", "items" or "users"; used in error messages.
        needed: Names of the needed columns.
    """
    found = columns_of(frame, what)
    for name in needed:
        if name not in found:
            raise InvalidInput(
                f"{what} have no column {name!r}; found {', '.join(map(repr, found))}. "
                f"Rename it, or pass --set data.columns.{name}=YOUR_NAME."
            )


def collect(frame: pl.LazyFrame, what: str) -> pl.DataFrame:
    """Runs a lazy frame. Raises `InvalidInput` instead of Polars' errors if the source is unreadable."""
    return collect_all([frame], what)[0]


def collect_all(frames: list[pl.LazyFrame], what: str) -> list[pl.DataFrame]:
    """Runs several lazy frames, reading a common source once. Raises the same errors as `collect`."""
    try:
        return pl.collect_all(frames, engine="streaming")
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Cannot read the {what}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _scan(source: Source, what: str, id_columns: set[str], text_only: bool) -> pl.LazyFrame:
    if isinstance(source, pl.LazyFrame):
        return source
    if isinstance(source, pl.DataFrame):
        return source.lazy()
    if isinstance(source, (str, Path)):
        return _scan_file(Path(source), what, id_columns, text_only)
    if hasattr(source, "iloc"):
        return pl.from_pandas(_plain_pandas(source)).lazy()
    raise InvalidInput(
        f"Expected {what} as a path, a pandas or a Polars frame; received {type(source).__name__}. Pass one of these."
    )


def _plain_pandas(frame: Any) -> Any:
    """A shallow copy with object columns of mixed types as strings. They are common in raw logs; Arrow rejects them."""
    mixed = {}
    for name in frame.columns:
        column = frame[name]
        if str(column.dtype) == "object":
            types = {type(value) for value in column.dropna()}
            if len(types) > 1 and list not in types:
                mixed[name] = column.map(lambda v: None if v is None or v != v else str(v)).astype(object)
    return frame.assign(**mixed).rename(columns=str) if mixed else frame.rename(columns=str)


def _scan_file(path: Path, what: str, id_columns: set[str], text_only: bool) -> pl.LazyFrame:
    if not path.is_file():
        raise InvalidInput(f"{what}: there is no file {path}. Give the path of a file of one of {FORMATS}.")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{what}: {path} is empty. A header and at least one row are needed.")
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith((".csv", ".tsv")):
            return _scan_csv(path, "\t" if name.endswith(".tsv") else ",", id_columns, text_only)
        if name.endswith(".parquet"):
            return pl.scan_parquet(path)
        if name.endswith((".jsonl", ".ndjson")):
            return pl.scan_ndjson(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"{what}: cannot read {path}: {_first_line(error)}") from None
    raise InvalidInput(f"{what}: {path.name} has an unknown format. Use one of {FORMATS}.")


def _scan_csv(path: Path, separator: str, id_columns: set[str], text_only: bool) -> pl.LazyFrame:
    frame = pl.scan_csv(path, separator=separator, infer_schema=False, encoding="utf8-lossy")
    if text_only:
        return frame
    names = frame.collect_schema().names()
    ids: Any = {name: pl.String for name in names if name in id_columns}
    return pl.scan_csv(path, separator=separator, infer_schema_length=None, schema_overrides=ids, encoding="utf8-lossy")
