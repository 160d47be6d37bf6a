"""Types of the columns of a table: found out where it was read as text, left out where no file can hold them."""

from __future__ import annotations

import polars as pl

from tfrec import schema

_NUMBERS = ((pl.Int64, r"^-?(0|[1-9]\d*)$"), (pl.Float64, r"^-?(0|[1-9]\d*)?(\.\d*)?([eE][-+]?\d+)?$"))
"""Numbers as they are written as numbers: 0012 is a code."""


def with_types(table: pl.DataFrame, but: str) -> pl.DataFrame:
    """The table with numbers in place of text where a whole column is numbers; codes with leading zeros stay text.

    Args:
        table: Columns of text.
        but: A column that stays text: ids are text whatever they look like, and so are titles.

    Example:
        >>> with_types(pl.DataFrame({"id": ["1"], "price": ["2.5"], "ean": ["0012"]}), "id").rows()
        [('1', 2.5, '0012')]
    """
    return pl.DataFrame([c if c.name in (but, *schema.TITLES) else _typed(c) for c in table.iter_columns()])


def _typed(column: pl.Series) -> pl.Series:
    present = column.drop_nulls()
    if column.dtype != pl.String or not len(present):
        return column
    if present.is_in(["true", "false"]).all():
        return column == "true"
    for dtype, pattern in _NUMBERS:
        if present.str.contains(pattern).all() and present.str.contains(r"\d").all():
            number = column.cast(dtype, strict=False)
            return column if number.null_count() != column.null_count() else number  # too large for the type
    return column


def without_unstorable(table: pl.DataFrame) -> pl.DataFrame:
    """The table without columns of types that Parquet cannot hold, such as objects without a field."""
    return table.drop([name for name, dtype in table.schema.items() if not _storable(dtype)])


def _storable(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return bool(dtype.fields) and all(_storable(each.dtype) for each in dtype.fields)  # type: ignore[arg-type]
    if isinstance(dtype, (pl.List, pl.Array)):
        return _storable(dtype.inner)  # type: ignore[arg-type]
    return dtype not in (pl.Object, pl.Unknown)
