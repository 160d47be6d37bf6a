"""The files of the request log: one a day, which go when they are old."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Final

from tfrec.files.shared_lines import append_line, delete_lines_file

_NAME: Final = re.compile(r"requests-(\d{4}-\d{2}-\d{2})\.jsonl")


class RequestLogFiles:
    """Files `requests-YYYY-MM-DD.jsonl`, by days in UTC.

    Several servers can share a folder, and `tfrec forget` can take lines out of a file that is being written: a file is
    opened, locked and closed again for each line.

    Args:
        folder: The folder.
        days: A line of it is gone after as many days, as its file is removed when its first one is that old.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self._folder, self._days = folder, days
        self._swept: date | None = None

    def append(self, day: date, line: bytes) -> None:
        """Writes a line to the file of a day, which only its owner may read.

        Raises:
            OSError: The line cannot be written. No part of it stays: the lines of a file can all be read.
        """
        append_line(self._folder / f"requests-{day.isoformat()}.jsonl", line)

    def remove_expired(self, today: date) -> None:
        """Removes the files that are too old, once a day."""
        if today == self._swept:
            return
        for path in self._folder.iterdir():
            day = _day_of(path.name)
            if day is not None and (today - day).days >= self._days:
                delete_lines_file(path)
        self._swept = today


def _day_of(name: str) -> date | None:
    """The day of a file of the log; None of another name, and of one that only looks like a date."""
    match = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
