"""Which outputs may be written where."""

from __future__ import annotations

from pathlib import Path

from tfrec.errors import InvalidInput


def refuse_existing(path: str | Path, force: bool = False) -> None:
    """Raises `InvalidInput` if `path` exists and `force` is false. Call it before any long work."""
    if Path(path).exists() and not force:
        raise InvalidInput(f"{path} exists already. Choose another name, or pass --force to replace it.")
