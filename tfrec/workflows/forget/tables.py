"""Files beside data, runs and exports: rows of people are taken out of tables, and a scan looks for what is left."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.data.dataset import DATASET_OUTPUT
from tfrec.errors import InvalidInput
from tfrec.files import successor_file
from tfrec.files.leftovers import sweep
from tfrec.files.shared_lines import lines_of, remove_lines
from tfrec.workflows.forget.inventory import PARTIAL

_LINES = {".jsonl", ".ndjson"}
_TABLES = {".parquet", ".csv", *_LINES}
_MOST_BYTES = 1 << 30
"""Texts above this are not read whole."""
_HOLDS_IDS = re.compile(r"user[ _-]?(id|name)?$", re.IGNORECASE)
"""Columns that hold ids: `user`, `user_id`, `userId`; a number in another one, such as `users`, may be a count."""
_TELLING = re.compile(r"(?=.*[^\d\W])\S{4,}")
"""Ids that a text search can find: "42" is in every log."""


def files_below(home: Path) -> Iterator[Path]:
    """All files below a folder, but for those of an erasure in progress."""
    sweep(home)
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink() and PARTIAL not in path.relative_to(home).parts:
            yield path


def without_rows(path: Path, users: Collection[str]) -> int:
    """Takes the rows of users out of a table with a column of users; the file is replaced as a whole.

    Returns:
        How many rows there were; 0 also for what is no table.
    """
    if path.suffix in _LINES:
        gone = frozenset(users)
        return remove_lines(path, lambda line: _is_theirs(_said(line, path), gone))
    table = _read(path)
    if table is None:
        return 0
    theirs = _rows_of(table, path, users)
    if count := int(theirs.sum()):
        with successor_file(path) as work:
            _write(table.filter(~theirs), work, path.suffix)
    return count


def names_users(path: Path, users: Collection[str]) -> bool:
    """Whether a file still names one of the users: in a column of users, as a value of JSON, or as a word of a text."""
    if path.suffix in _LINES:
        return any(_names(line, frozenset(users)) for line in _lines(path))
    if path.suffix in _TABLES:
        table = _read(path)
        return table is not None and bool(_rows_of(table, path, users).any())
    if path.suffix == ".json":
        return _in_json(path, frozenset(users))
    return _in_text(path, users)


def _read(path: Path) -> pl.DataFrame | None:
    """A table with all numbers as they are written; None of a file that is none."""
    if path.suffix not in _TABLES:
        return None
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{path} cannot be read as a table ({str(error).splitlines()[0]}), so nobody can tell whether it has the "
        "people. Delete it, or move it away."
    )


def _lines(path: Path) -> Iterator[Any]:
    """What the lines of a file of JSON lines say."""
    return (_said(line, path) for line in lines_of(path))


def _said(line: bytes, path: Path) -> Any:
    try:
        return json.loads(line) if line.strip() else None
    except ValueError as error:
        raise _unreadable(path, error) from error


def _is_theirs(content: Any, users: frozenset[str]) -> bool:
    fields = content.items() if isinstance(content, dict) else ()
    return any(_is_id(name, str(value)) and str(value) in users for name, value in fields)


def _rows_of(table: pl.DataFrame, path: Path, users: Collection[str]) -> pl.Series:
    """Whether each row is of one of the users: bool `[rows]`."""
    telling, found = [user for user in users if _is_telling(user)], pl.repeat(False, table.height, eager=True)
    for name in _user_columns(table, path):
        names = list(users) if _HOLDS_IDS.search(name) else telling
        found = found | table[name].cast(pl.String).is_in(names).fill_null(False)
    return found


def _user_columns(table: pl.DataFrame, path: Path) -> list[str]:
    flat = [name for name, kind in table.schema.items() if not kind.is_nested() and "user" in name.lower()]
    numbered = any(DATASET_OUTPUT.marks(folder) for folder in (path.parent, path.parent.parent))
    return [name for name in flat if not (numbered and name == schema.USER)]  # in prepared data, a row number


def _write(table: pl.DataFrame, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)


def _in_json(path: Path, users: frozenset[str]) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return _in_text(path, users)
    return _names(content, users)


def _names(value: Any, users: frozenset[str], key: str = "") -> bool:
    """Whether a value of JSON names one of the users; numbers do only where ids are, or in lists of them."""
    if isinstance(value, dict):
        return any((_is_telling(name) and name in users) or _names(inner, users, name) for name, inner in value.items())
    if isinstance(value, list):
        return any(_names(inner, users, key.removesuffix("s")) for inner in value)
    return str(value) in users and (_is_telling(str(value)) or _is_id(key, str(value)))


def _in_text(path: Path, users: Collection[str]) -> bool:
    telling = [user.encode() for user in users if _is_telling(user)]
    if not telling or path.stat().st_size > _MOST_BYTES:
        return False
    content = path.read_bytes()
    return any(re.search(rb"(?<![\w-])" + re.escape(user) + rb"(?![\w-])", content) for user in telling)


def _is_id(name: str, value: str) -> bool:
    """Whether a field of a name is for ids of users: what is called `users` or `valid_users` counts them."""
    return "user" in name.lower() and (_is_telling(value) or _HOLDS_IDS.search(name) is not None)


def _is_telling(user: str) -> bool:
    return _TELLING.fullmatch(user) is not None
