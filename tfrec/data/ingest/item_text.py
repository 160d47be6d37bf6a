"""Item texts: rendered from columns of the catalogue, then normalised."""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Sequence

import polars as pl

from tfrec.data.ingest.text_columns import as_text, text_columns
from tfrec.errors import InvalidInput

# Every pattern stops at the next "<", so that the run time is linear in the length even of hostile text.
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<![^<>]*>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\ufeff]")


def normalise_text(text: str) -> str:
    """Strips HTML, unescapes entities, collapses whitespace and composes Unicode (NFC).

    Tags are stripped both before and after unescaping, as shops often escape their HTML twice.
    A lone "<" (as in "width < 5") is kept.

    Example:
        >>> normalise_text("<p>Salt &amp; Pepper</p>\\n mill")
        'Salt & Pepper mill'
    """
    if "<" in text:
        text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    if "&" in text:
        text = html.unescape(text)
        if "<" in text:
            text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    text = unicodedata.normalize("NFC", _CONTROL.sub("", text))
    return " ".join(text.split())


def render_texts(
    items: pl.DataFrame, template: str | None, normalise: bool, names: Sequence[str] | None = None
) -> list[str]:
    """Renders one text per item, from a template or from the columns that have words (`text_columns`).

    Args:
        items: The catalogue.
        template: E.g. `"{title} by {author}"`; lists are joined with ", ", and null is empty. None joins the
            columns that have words.
        normalise: Whether to apply `normalise_text` to each text.
        names: The columns to join. None: those of `text_columns`.

    Raises:
        InvalidInput: The template is malformed, or names a column that the items do not have.

    Example:
        >>> render_texts(pl.DataFrame({"item_id": ["1"], "title": ["Tea"], "price": [2]}), "{title} for {price}", True)
        ['Tea for 2']
    """
    if template is None:
        columns = [as_text(items[name]) for name in (text_columns(items) if names is None else names)]
        texts = [" ".join(part for part in row if part) for row in zip(*columns)] or [""] * items.height
    else:
        texts = _fill(items, template)
    return [normalise_text(text) for text in texts] if normalise else texts


def _fill(items: pl.DataFrame, template: str) -> list[str]:
    try:
        names = sorted({name for _, name, _, _ in string.Formatter().parse(template) if name is not None})
    except ValueError as error:
        raise InvalidInput(f"data.text_template {template!r} is not valid: {error}.") from None
    missing = [name for name in names if name not in items.columns]
    if missing:
        raise InvalidInput(
            f"data.text_template names {missing}, which the items do not have; "
            f"found {items.columns}. Use only these, in single braces."
        )
    rows = items.select(names).iter_rows(named=True) if names else ({} for _ in range(items.height))
    return [template.format(**{name: _plain(value) for name, value in row.items()}) for row in rows]


def _plain(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)
