"""Pictures of a catalogue: prepares them for a page. Nothing is downloaded here."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

from tfrec.data.picture_columns import DATA_URI, first_picture, is_web_address, picture_column, picture_kind

LARGEST_FILE = 20 * 2**20
"""Bytes; larger files are not opened."""
SENT_AS_IT_IS = 32 * 1024
"""Bytes; larger pictures are scaled down, because a page may show fifty of them."""
SMALL = (240, 360)
"""Maximum size in pixels of a scaled picture: twice the size on a card, for high-resolution screens."""
KEPT = 500
"""Pictures in the cache, of at most about 50 kB each."""


class Pictures:
    """Provides the pictures of items for a page.

    Args:
        items: The catalogue.
        folder: Folder with the image files. Files outside it are never opened, whatever the catalogue says.
    """

    def __init__(self, items: pl.DataFrame, folder: Path) -> None:
        self.column = picture_column(items)
        self.folder = folder.resolve()
        self._values = [] if self.column is None else [first_picture(value) for value in items[self.column].to_list()]
        self._kept: dict[int, str | None] = {}
        self.on_the_web = any(is_web_address(value) for value in self._values)

    def source(self, place: int, web: bool = False) -> str | None:
        """The `src` of an item's picture; None if it has no picture that can be shown.

        Args:
            place: Index of the item in the catalogue.
            web: Whether the browser may load pictures from web addresses.
        """
        if self.column is None:
            return None
        value = self._values[place]
        if is_web_address(value):
            return value if web else None
        if place not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[place] = self._data_uri(value)
        return self._kept[place]

    def _data_uri(self, value: Any) -> str | None:
        if isinstance(value, str):
            value = _decoded(value) if DATA_URI.fullmatch(value) else self._file(value)
        return _data_uri(_small(value)) if isinstance(value, bytes) else None

    def _file(self, name: str) -> bytes | None:
        try:
            name = unquote(urlsplit(name).path) if name.startswith("file:") else name
            path = (self.folder / name).resolve()
            inside = path.is_relative_to(self.folder) and path.is_file() and path.stat().st_size <= LARGEST_FILE
            return path.read_bytes() if inside else None
        except (OSError, ValueError):  # unreadable file or invalid file name
            return None


def _decoded(uri: str) -> bytes:
    try:
        return base64.b64decode(uri.partition(",")[2])
    except ValueError:
        return b""


def _small(content: bytes) -> bytes:
    """A scaled-down picture; empty if it cannot be read. Small files and other content are returned unchanged."""
    if picture_kind(content) is None or len(content) <= SENT_AS_IT_IS:
        return content
    from PIL import Image, ImageOps  # comes with Streamlit

    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.draft("RGB", SMALL)
            picture = ImageOps.exif_transpose(opened)
            picture.thumbnail(SMALL)
            small = io.BytesIO()
            picture.convert("RGBA" if "A" in picture.getbands() else "RGB").save(small, "WEBP", quality=80)
        return small.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""


def _data_uri(content: bytes) -> str | None:
    kind = picture_kind(content)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if kind else None
