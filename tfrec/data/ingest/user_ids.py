"""Lists of user ids that people give as files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tfrec.errors import InvalidInput
from tfrec.schema import USER_ID


def read_users(path: str | Path) -> list[str]:
    """User ids of a file: one a line, or the user_id column of a Parquet file; a first line `user_id` is a heading.

    Raises:
        InvalidInput: no such file, no user_id column, or no ids in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"Expected a file of user ids, one a line; there is no file {path}.")
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
        raise InvalidInput(f"{path} holds no user ids; expected one a line.")
    return list(dict.fromkeys(ids))
