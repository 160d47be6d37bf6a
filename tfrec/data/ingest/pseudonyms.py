"""Keyed pseudonyms in place of user ids."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.data.ingest.index_ids import Vocabulary
from tfrec.errors import InvalidInput

_MAKE = "python -c 'import secrets; print(secrets.token_hex())' > KEY; chmod 600 KEY"
_SHOWN = (schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP, schema.VALUE)
"""What examples of invalid rows show; the other columns of a raw row may say who it is about."""


def pseudonyms(ids: Iterable[str], key_file: str | Path) -> list[str]:
    """The pseudonyms of ids: 32 hexadecimal digits each, the same for the same id and keys (HMAC-SHA-256).

    Without the key nobody can tell whose a pseudonym is, nor try out ids, as they can with a plain hash.

    The file has a key a line, the oldest first. To rotate keys, append one: pseudonyms are then those of the
    pseudonyms before, so that who only has old ones, and the new key, can renew them without the ids.

    Args:
        ids: Ids.
        key_file: File of keys, 64 hexadecimal digits each. Keep it apart from the data, and let only its owner read it.

    Raises:
        InvalidInput: The file is missing, others may read it, or it holds something else than keys.
    """
    keys = read_keys(key_file)
    return [pseudonym(name, keys) for name in ids]


def pseudonym(name: str, keys: Iterable[bytes]) -> str:
    """The pseudonym of an id under keys, the oldest first."""
    for key in keys:
        name = hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]
    return name


def pseudonyms_over_time(name: str, keys: Sequence[bytes]) -> list[str]:
    """The pseudonyms that an id has had while keys were appended, the first under the oldest key alone."""
    return [pseudonym(name, keys[: number + 1]) for number in range(len(keys))]


def read_keys(path: str | Path, option: str = "data.pseudonym_key") -> list[bytes]:
    """The keys in a file, the oldest first.

    Args:
        path: The file, 64 hexadecimal digits a line.
        option: What names it, for messages.

    Raises:
        InvalidInput: The file is missing, others may read it, or it holds something else than keys.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"{option}: {path} does not exist. Make one: {_MAKE}")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InvalidInput(f"{option}: others than its owner may read or write {path}. Run: chmod 600 {path}")
    return parse_keys(path.read_text(encoding="utf-8", errors="replace"), str(path), option)


def parse_keys(text: str, where: str, option: str) -> list[bytes]:
    """The keys in a text, a line each.

    Args:
        text: The text.
        where: Where it stood, and
        option: what names that, for messages.

    Raises:
        InvalidInput: It holds something else than keys.
    """
    lines = text.split()
    if not lines or not all(re.fullmatch(r"[0-9a-fA-F]{64}", line) for line in lines):
        raise InvalidInput(f"{option}: expected 64 hexadecimal digits in each line of {where}. Make a key: {_MAKE}")
    return [bytes.fromhex(line) for line in lines]


def under_pseudonyms(
    log: pl.DataFrame, names: Vocabulary, problems: dict[str, Any], key_file: str | Path | None
) -> tuple[pl.DataFrame, Vocabulary]:
    """A log of indexed ids whose users have pseudonyms, in the order of the pseudonyms: that of the ids would tell.

    Args:
        log: The indexed log.
        names: Its ids.
        problems: Invalid rows by reason, with examples, which are cut in place to what says nothing about a user.
        key_file: As for `pseudonyms`; None leaves the log as it is.
    """
    if key_file is None:
        return log, names
    hide_users(problems)
    code, names = pseudonym_codes(names, key_file)
    return log.with_columns(renamed(log[schema.USER], code)), names


def hide_users(problems: dict[str, Any]) -> None:
    """Cuts the examples of invalid rows, in place, to what says nothing about a user."""
    for problem in problems.values():
        problem["examples"] = [
            {name: value for name, value in row.items() if name in _SHOWN} for row in problem["examples"]
        ]


def pseudonym_codes(names: Vocabulary, key_file: str | Path) -> tuple[NDArray[np.uint32], Vocabulary]:
    """The place of each user among the sorted pseudonyms, and the ids with these in place of the users."""
    users = pl.Series(names.users.name, pseudonyms(names.users.to_list(), key_file), pl.String)
    order = users.arg_sort().to_numpy()
    code = np.empty(len(order), np.uint32)
    code[order] = np.arange(len(order), dtype=np.uint32)
    return code, replace(names, users=users.sort())


def renamed(users: pl.Series, code: NDArray[np.uint32]) -> pl.Series:
    """The users of rows under the codes of `pseudonym_codes`; null stays null."""
    return pl.Series(code).gather(users).alias(users.name)
