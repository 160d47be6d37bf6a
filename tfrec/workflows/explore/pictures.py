"""Pictures of a catalogue: finds their column and prepares them for a page. Nothing is downloaded here."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

from tfrec import schema

LOOKED_AT = 200
"""Values of a column that are checked to decide whether it holds pictures."""
LARGEST_FILE = 20 * 2**20
"""Bytes; larger files are not opened."""
SENT_AS_IT_IS = 32 * 1024
"""Bytes; larger pictures are scaled down, because a page may show fifty of them."""
SMALL = (240, 360)
"""Maximum size in pixels of a scaled picture: twice the size on a card, for high-resolution screens."""
KEPT = 500
"""Pictures in the cache, of at most about 50 kB each."""

_KINDS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"GIF8": "gif"}
_NAME = re.compile(r"image|img|picture|photo|poster|cover|thumb", re.IGNORECASE)
_FILE = re.compile(r"\.(jpe?g|png|gif|webp)$", re.IGNORECASE)
_DATA = re.compile(r"data:image/(jpeg|png|gif|webp);base64,[A-Za-z0-9+/=]+")


def picture_column(items: pl.DataFrame) -> str | None:
    """The column with image bytes, data URIs, file names or web addresses; None if there is none.

    A column qualifies if most of its values are pictures. Columns whose name suggests pictures take precedence.

    Example:
        >>> picture_column(pl.DataFrame({"item_id": ["1", "2"], "cover": ["a.jpg", "b.png"], "year": [1999, 2001]}))
        'cover'
    """
    names = sorted((name for name in items.columns if name != schema.ITEM_ID), key=lambda name: not _NAME.search(name))
    return next((name for name in names if _holds_pictures(items[name])), None)


class Pictures:
    """Provides the pictures of items for a page.

    Args:
        items: The catalogue.
        folder: Folder with the image files. Files outside it are never opened, whatever the catalogue says.
    """

    def __init__(self, items: pl.DataFrame, folder: Path) -> None:
        self.column = picture_column(items)
        self.folder = folder.resolve()
        self._values = [] if self.column is None else [_first(value) for value in items[self.column].to_list()]
        self._kept: dict[int, str | None] = {}
        self.on_the_web = any(_is_web_address(value) for value in self._values)

    def source(self, place: int, web: bool = False) -> str | None:
        """The `src` of an item's picture; None if it has no picture that can be shown.

        Args:
            place: Index of the item in the catalogue.
            web: Whether the browser may load pictures from web addresses.
        """
        if self.column is None:
            return None
        value = self._values[place]
        if _is_web_address(value):
            return value if web else None
        if place not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[place] = self._data_uri(value)
        return self._kept[place]

    def _data_uri(self, value: Any) -> str | None:
        if isinstance(value, str):
            value = _decoded(value) if _DATA.fullmatch(value) else self._file(value)
        return _data_uri(_small(value)) if isinstance(value, bytes) else None

    def _file(self, name: str) -> bytes | None:
        try:
            name = unquote(urlsplit(name).path) if name.startswith("file:") else name
            path = (self.folder / name).resolve()
            inside = path.is_relative_to(self.folder) and path.is_file() and path.stat().st_size <= LARGEST_FILE
            return path.read_bytes() if inside else None
        except (OSError, ValueError):  # unreadable file or invalid file name
            return None


def _holds_pictures(column: pl.Series) -> bool:
    values = [value for value in map(_first, column.drop_nulls().head(LOOKED_AT).to_list()) if value]
    named = bool(_NAME.search(column.name))
    return bool(values) and 2 * sum(_is_picture(value, named) for value in values) > len(values)


def _first(value: Any) -> Any:
    """The first picture of a list; other values unchanged."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value.strip() if isinstance(value, str) else value


def _is_picture(value: Any, named: bool) -> bool:
    if isinstance(value, bytes):
        return _kind(value) is not None
    if not isinstance(value, str):
        return False
    if _is_web_address(value):
        return named or bool(_FILE.search(value.partition("?")[0]))
    return bool(_DATA.fullmatch(value) or _FILE.search(value))


def _is_web_address(value: Any) -> bool:
    return isinstance(value, str) and value.lower().startswith(("http://", "https://"))


def _decoded(uri: str) -> bytes:
    try:
        return base64.b64decode(uri.partition(",")[2])
    except ValueError:
        return b""


def _kind(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)


def _small(content: bytes) -> bytes:
    """A scaled-down picture; empty if it cannot be read. Small files and other content are returned unchanged."""
    if _kind(content) is None or len(content) <= SENT_AS_IT_IS:
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
    kind = _kind(content)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if kind else None
