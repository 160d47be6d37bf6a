"""Values as numbers: decimal commas, thousands, currency signs, and what cannot be read."""

from __future__ import annotations

import polars as pl

from tfrec.data.reading.frames import collect
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput

_THOUSANDS = r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"
_DECIMAL_COMMA = r"^[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+$"


def read_numbers(frame: pl.LazyFrame, name: str, what: str) -> tuple[pl.Expr, list[Notice], pl.Expr]:
    """A column as float64.

    Returns:
        value: Null where there is none or it cannot be read; never NaN or infinite.
        notices: How it is read, where that is not plain.
        unreadable: bool, where something is written that is no finite number.

    Example:
        >>> log = pl.LazyFrame({"value": ["4,5", "3,0", "?"]})
        >>> log.select(read_numbers(log, "value", "events")[0]).collect()["value"].to_list()
        [4.5, 3.0, None]
    """
    dtype = frame.collect_schema()[name]
    column = pl.col(name)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).str.strip_chars()
        text = pl.when(text != "").then(text)
        number, notices = _of_text(frame, text, what)
        written = text.is_not_null()
    elif dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        number, notices, written = column.cast(pl.Float64, strict=False), [], column.is_not_null()
    else:
        raise InvalidInput(f"{what}: {name} must hold numbers; received {dtype}. Map a column of numbers, or none.")
    value = pl.when(number.is_finite()).then(number).alias(name)
    return value, notices, written & ~number.is_finite().fill_null(False)


def _of_text(frame: pl.LazyFrame, text: pl.Expr, what: str) -> tuple[pl.Expr, list[Notice]]:
    plain = text.cast(pl.Float64, strict=False)
    odd = text.filter(plain.is_null())
    counts = collect(
        frame.select(
            odd.count().alias("odd"),
            odd.str.contains(_THOUSANDS).sum().alias("thousands"),
            odd.str.contains(_DECIMAL_COMMA).sum().alias("decimal"),
        ),
        what,
    ).row(0)
    if counts[1] and counts[1] == counts[2]:  # 1,234 may be both; alone it is a thousand, as more digits are never cut
        return pl.coalesce(plain, text.str.replace_all(",", "").cast(pl.Float64, strict=False)), []
    if counts[2] > counts[1]:
        comma = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        return pl.coalesce(plain, comma.cast(pl.Float64, strict=False)), [
            Notice(f"{what}: values have decimal commas.")
        ]
    if counts[1]:
        return pl.coalesce(plain, text.str.replace_all(",", "").cast(pl.Float64, strict=False)), []
    return plain, []
