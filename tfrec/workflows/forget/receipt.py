"""Receipts of erasures: what was removed and when, signed, and without the ids of those who were."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfrec.data.ingest.pseudonyms import read_keys
from tfrec.errors import InvalidInput
from tfrec.files import read_json

SIGNATURE = "hmac_sha256"


def user_marks(users: Iterable[str], key_file: str | Path) -> list[str]:
    """What stands in a receipt for each user: who has the key and an id can tell whether it was asked for.

    Args:
        users: Ids.
        key_file: As for `tfrec.data.pseudonyms`; its newest key is used.
    """
    return sorted(_digest(f"user/{user}".encode(), key_file)[:32] for user in users)


def signed(content: Mapping[str, Any], key_file: str | Path) -> dict[str, Any]:
    """A receipt with its signature, an HMAC-SHA-256 over all the rest.

    Args:
        content: The receipt.
        key_file: As for `user_marks`.
    """
    return {**content, SIGNATURE: _digest(_canonical(content), key_file)}


def verify_receipt(path: str | Path, key_file: str | Path) -> dict[str, Any]:
    """The receipt in a file, if it is as it was signed.

    Args:
        path: The receipt.
        key_file: The key that it was signed with.

    Raises:
        InvalidInput: It is no receipt, was changed, or was signed with another key.
    """
    receipt = read_json(path)
    content = {name: value for name, value in receipt.items() if name != SIGNATURE} if isinstance(receipt, dict) else {}
    if not content or not hmac.compare_digest(str(receipt.get(SIGNATURE, "")), _digest(_canonical(content), key_file)):
        raise InvalidInput(f"{path} is no receipt signed with {key_file}: it was changed, or the key is another one.")
    return receipt


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(message: bytes, key_file: str | Path) -> str:
    return hmac.new(read_keys(key_file, "--key")[-1], message, hashlib.sha256).hexdigest()
