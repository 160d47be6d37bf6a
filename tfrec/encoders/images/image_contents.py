"""The contents of image files, from what a catalogue's column says: bytes, file names or data URIs."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tfrec.errors import InvalidInput

LARGEST_FILE: Final = 50 * 2**20
"""Bytes; larger files are not opened."""

_DATA = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_ON_THE_WEB = ("http://", "https://", "//")


class ImageContents(Sequence[bytes]):
    """The contents of the images of a column, each read when it is asked for; empty where there is none to read.

    Args:
        values: A value each item: bytes of an image file, a file name, a `file:` address or a base64 data URI; None or
            "" for no image, of a list the first. Web addresses count as images that cannot be read: nothing is
            downloaded.
        folder: Folder that file names start from.

    Example:
        >>> contents = ImageContents([b"GIF89a", None, "https://a.b/c.jpg", "data:image/gif;base64,R0lG"])
        >>> list(contents), [contents.problem(row) for row in range(4)]
        ([b'GIF89a', b'', b'', b'GIF'], [None, 'none', 'web address', None])
    """

    def __init__(self, values: Sequence[Any], folder: str | Path = ".") -> None:
        self._values, self._folder = [_first(value) for value in values], Path(folder)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self._read(value)[0] for value in self._values[row]]
        return self._read(self._values[row])[0]

    def problem(self, row: int) -> str | None:
        """Why there is nothing to read: "none", "web address", "no such file" or the like; None if there is."""
        return self._read(self._values[row])[1]

    def _read(self, value: Any) -> tuple[bytes, str | None]:
        """The content and the problem, one of which is empty."""
        if value is None or value == "" or value == b"":
            return b"", "none"
        if isinstance(value, bytes):
            return value, None
        if not isinstance(value, str):
            raise InvalidInput(
                f"Expected images as bytes, file names or data URIs; received a {type(value).__name__}: {value!r:.60}. "
                "Name another column with encoder.image_column."
            )
        if _DATA.match(value):
            return _decoded(value)
        return (b"", "web address") if value.lower().startswith(_ON_THE_WEB) else self._file(value)

    def _file(self, name: str) -> tuple[bytes, str | None]:
        path = self._folder / (unquote(urlsplit(name).path) if name.startswith("file:") else name)
        try:
            if path.stat().st_size > LARGEST_FILE:
                return b"", f"larger than {LARGEST_FILE >> 20} MB"
            return path.read_bytes(), None
        except (OSError, ValueError):  # missing, unreadable, or no file name at all
            return b"", "no such file"


def describe_problems(contents: ImageContents, decoded: Sequence[bool]) -> dict[str, int]:
    """How many images there are and why the others are not, most frequent first.

    Args:
        contents: The images.
        decoded: Of each, whether it could be decoded.
    """
    reasons: Counter[str] = Counter()
    for row, is_decoded in enumerate(decoded):
        if not is_decoded:
            reasons[contents.problem(row) or "damaged, too large or no image"] += 1
    return {"images": len(contents) - sum(reasons.values()), **dict(reasons.most_common())}


def _first(value: Any) -> Any:
    """The first image of a list; other values unchanged."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value.strip() if isinstance(value, str) else value


def _decoded(uri: str) -> tuple[bytes, str | None]:
    try:
        return base64.b64decode(uri.partition(",")[2], validate=True), None
    except (ValueError, binascii.Error):
        return b"", "damaged data URI"
