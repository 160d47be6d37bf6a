"""Reads lists of user ids from files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tfrec.errors import InvalidInput
from tfrec.schema import USER_ID


def read_users(path: str | Path) -> list[str]:
    """Reads user ids from a text file with one id per line, or from the column user_id of a Parquet file.

    Args:
        path: The file. A first line `user_id` is a header and is skipped.

    Returns:
        The distinct ids, in the order of their first occurrence.

    Raises:
        InvalidInput: The file does not exist, has no column user_id, or contains no ids.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"Expected a file of user ids, one per line; there is no file {path}.")
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        if USER_ID not in frame.columns:
            raise InvalidInput(f"{path} has no column {USER_ID!r}; found {', '.join(map(repr, frame.columns))}.")
        ids = frame[USER_ID].drop_nulls().cast(pl.String).to_list()
    else:
        ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        ids = [line for line in ids if line]
        if ids and ids[0] == USER_ID:
            ids = ids[1:]
    if not ids:
        raise InvalidInput(f"{path} contains no user ids; expected one per line.")
    return list(dict.fromkeys(ids))
