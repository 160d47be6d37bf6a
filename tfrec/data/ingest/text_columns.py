"""Which columns of a catalogue say in words what an item is."""

from __future__ import annotations

import polars as pl

from tfrec import schema
from tfrec.data.reading.guesses import plain

_SAMPLE = 2_000
_WORDLESS = 0.9
"""Share of the values from which on a column counts as one without words."""
_OURS = (schema.ITEM_ID, schema.TRAIN_COUNT, schema.HELD_OUT, schema.IN_CATALOGUE)
_YEAR = r"^(1[6-9]|20)\d\d$"
_WITHOUT_WORDS = (
    r"^(https?:)?//|^www\.|\.(jpe?g|png|gif|webp)$"  # addresses and pictures
    r"|^[\d\s.,:;/%$€£+-]+$"  # numbers, prices, dates
    r"|^\[?\{.*\}\]?$|^\[\]$"  # JSON
    r"|^.$"  # a letter
    r"|^[A-Za-z_.:-]{0,4}\d[\w.:-]*$|^[0-9a-fA-F-]{16,}$"  # codes and hashes
    r"|^\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}$"  # 01-Jan-1995
)


def text_columns(items: pl.DataFrame) -> list[str]:
    """Names of the columns that make up the default text: what names the item first, the others in file order.

    They are columns of text, however it is stored, and of lists of text. Columns of addresses, numbers, codes, JSON or
    single letters say nothing in words and are left out; years are words. A title is always one of them.

    Example:
        >>> items = pl.DataFrame({"item_id": ["1"], "url": ["https://a.b/c"], "genres": [["Jazz"]], "title": ["1984"]})
        >>> text_columns(items)
        ['title', 'genres']
    """
    title = title_column(items)
    names = [name for name in items.columns if name != title and name not in _OURS and _has_words(items[name])]
    return names if title is None else [title, *names]


def title_column(items: pl.DataFrame) -> str | None:
    """The column that names an item: one of `schema.TITLES`, else the first that is called a title."""
    named = [name for name, dtype in items.schema.items() if name not in _OURS and not dtype.is_nested()]
    found = {plain(name): name for name in reversed(named)}
    for wanted in map(plain, schema.TITLES):
        if wanted in found:
            return found[wanted]
    return next((name for name in named if plain(name).endswith("title")), None)


def as_text(column: pl.Series) -> pl.Series:
    """A column as text, String; lists are joined with ", ", null is empty.

    Types that Polars cannot cast to text, such as durations, are written as Python writes their values.
    """
    try:
        return _cast_to_text(column).fill_null("")
    except pl.exceptions.PolarsError:
        return pl.Series(column.name, ["" if value is None else str(value) for value in column], pl.String)


def _cast_to_text(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, (pl.List, pl.Array)):
        inner = column.cast(pl.List(column.dtype.inner))
        return inner.list.eval(pl.element().cast(pl.String, strict=False).drop_nulls()).list.join(", ")
    return column.cast(pl.String, strict=False)


def _has_words(column: pl.Series) -> bool:
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array)) and not column.name.endswith(schema.EMBEDDING_SUFFIX):
        dtype = dtype.inner  # type: ignore[assignment]
        column = column.head(_SAMPLE).explode() if dtype in (pl.String, pl.Categorical, pl.Enum) else column
    if dtype not in (pl.String, pl.Categorical, pl.Enum):
        return False
    values = column.head(10 * _SAMPLE).drop_nulls().cast(pl.String).str.strip_chars()
    values = values.filter(values != "").unique(maintain_order=True).head(_SAMPLE)
    wordless = values.str.contains(_WITHOUT_WORDS) & ~values.str.contains(_YEAR)
    return len(values) == 0 or float(wordless.mean() or 0) < _WORDLESS  # type: ignore[arg-type]
