"""Where a command may write a page, asked before any work."""

from __future__ import annotations

from pathlib import Path


def check_page(path: Path | None, force: bool, option: str = "--out") -> None:
    """Raises `InvalidInput` unless `path` is None or a .html file that may be written."""
    from tfrec.errors import InvalidInput
    from tfrec.files import refuse_existing

    if path is None:
        return
    if path.suffix != ".html" or path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"{option} must be a .html file in an existing folder, received {path}.")
    refuse_existing(path, force)
