"""The column of a catalogue that holds pictures, found by what is in it."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from tfrec import schema

LOOKED_AT = 200
"""Values of a column that are checked to decide whether it holds pictures."""

_KINDS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"GIF8": "gif"}
_NAME = re.compile(r"image|img|picture|photo|poster|cover|thumb", re.IGNORECASE)
_FILE = re.compile(r"\.(jpe?g|png|gif|webp)$", re.IGNORECASE)
DATA_URI = re.compile(r"data:image/(jpeg|png|gif|webp);base64,[A-Za-z0-9+/=]+")


def picture_column(items: pl.DataFrame) -> str | None:
    """The column with image bytes, data URIs, file names or web addresses; None if there is none.

    A column qualifies if most of its values are pictures. Columns whose name suggests pictures take precedence.

    Example:
        >>> picture_column(pl.DataFrame({"item_id": ["1", "2"], "cover": ["a.jpg", "b.png"], "year": [1999, 2001]}))
        'cover'
    """
    names = sorted((name for name in items.columns if name != schema.ITEM_ID), key=lambda name: not _NAME.search(name))
    return next((name for name in names if _holds_pictures(items[name])), None)


def _holds_pictures(column: pl.Series) -> bool:
    values = [value for value in map(first_picture, column.drop_nulls().head(LOOKED_AT).to_list()) if value]
    named = bool(_NAME.search(column.name))
    return bool(values) and 2 * sum(_is_picture(value, named) for value in values) > len(values)


def first_picture(value: Any) -> Any:
    """The first picture of a list; other values unchanged."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value.strip() if isinstance(value, str) else value


def _is_picture(value: Any, named: bool) -> bool:
    if isinstance(value, bytes):
        return picture_kind(value) is not None
    if not isinstance(value, str):
        return False
    if is_web_address(value):
        return named or bool(_FILE.search(value.partition("?")[0]))
    return bool(DATA_URI.fullmatch(value) or _FILE.search(value))


def is_web_address(value: Any) -> bool:
    """Whether a value is an address that a browser can load."""
    return isinstance(value, str) and value.lower().startswith(("http://", "https://"))


def picture_kind(content: bytes) -> str | None:
    """The format of the contents of an image file, as in `image/png`; None for what is none."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
