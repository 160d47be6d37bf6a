"""Checks the path of a report before a command starts to work."""

from __future__ import annotations

from pathlib import Path


def check_page(path: Path | None, force: bool, option: str = "--out") -> None:
    """Checks that a report can be written.

    Args:
        path: The report; None is accepted.
        force: Whether an existing file may be overwritten.
        option: The option that named the path, for the message.

    Raises:
        InvalidInput: `path` is no .html file in an existing folder, or exists without `force`.
    """
    from tfrec.errors import InvalidInput
    from tfrec.files import check_output_file

    if path is None:
        return
    if path.suffix != ".html" or path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"{option} must be a .html file in an existing folder, received {path}.")
    check_output_file(path, force)
