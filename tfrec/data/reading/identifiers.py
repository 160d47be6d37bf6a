"""Ids as they are written, and which spellings can only mean the same id."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tfrec.data.reading.frames import collect
from tfrec.data.reading.guesses import SECTIONS
from tfrec.errors import InvalidInput

EXACT = 2**53
"""Floats hold every whole number up to here; beyond, two ids can be one float."""


def as_id(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as string ids without blanks around them; blank ids are null."""
    text = id_text(name, dtype).str.strip_chars()
    return pl.when(text != "").then(text)


def id_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as strings. pandas turns integers with missing values into floats, so 17850.0 becomes "17850"."""
    column = pl.col(name)
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor())
    return (
        pl.when(whole)
        .then(column.cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(pl.when(column.is_finite()).then(column.cast(pl.String)))
    )


def refuse_unusable_ids(frame: pl.LazyFrame, name: str, what: str, written: str = "") -> None:
    """Raises `InvalidInput` where a column cannot hold ids: objects, lists, and floats too large to be exact.

    Args:
        frame: The input.
        name: The column.
        what: What the input is called in messages.
        written: What the column map says the column is, for the flags that the message proposes.
    """
    written = written or name
    dtype = frame.collect_schema()[name]
    section = f"data.{what}.columns" if what in SECTIONS else "data.columns"
    if isinstance(dtype, pl.Struct):
        fields = [each.name for each in dtype.fields]
        raise InvalidInput(
            f"{what}: {name} holds objects with the fields {', '.join(fields)}, not ids. "
            f"Name one, e.g. --set {section}.{name}={written}{_path_to_id(dtype)}"
        )
    if isinstance(dtype, (pl.List, pl.Array)):
        raise InvalidInput(
            f"{what}: {name} holds lists, not ids. For a row an entry, pass "
            f"--set '{section}.{name}={written}[]{_path_to_id(getattr(dtype, 'inner', pl.String()))}'"
        )
    if dtype.is_float():
        largest = collect(frame.select(pl.col(name).abs().max()), what).item()
        if largest is not None and EXACT < largest < float("inf"):
            raise InvalidInput(
                f"{what}: {name} holds floats up to {largest:.0f}. Beyond {EXACT} different ids are the same float: "
                "write the ids as integers or text."
            )


def _path_to_id(dtype: pl.DataType) -> str:
    """The way to the first field inside that is called id, as the column map writes it."""
    if not isinstance(dtype, pl.Struct) or not dtype.fields:
        return ""
    named = [each for each in dtype.fields if each.name.lower().endswith("id")]
    inside = named or [each for each in dtype.fields if isinstance(each.dtype, pl.Struct)] or dtype.fields
    return f".{inside[0].name}{_path_to_id(inside[0].dtype)}"  # type: ignore[arg-type]


def spelt_alike(ids: pl.Series, null_words: Sequence[str], known: pl.Series | None = None) -> pl.Series:
    """The id that each of these can only mean: itself, another spelling of a known one, or null.

    Blanks around an id mean nothing. `12.0` is 12, and `000012` is 12, where only one known id can be meant and the
    ids do not hold both `000012` and `12`.

    Args:
        ids: Distinct strings, as they are written.
        null_words: What is written for a missing id; null, unless it is known.
        known: Ids that are right, distinct: those of a catalogue. None: the ids among themselves.

    Example:
        >>> spelt_alike(pl.Series(["0012", " 13", "14.0", "NA"]), ["NA"], pl.Series(["12", "13", "14"])).to_list()
        ['12', '13', '14', None]
    """
    stripped = ids.str.strip_chars()
    reference = pl.Series([], dtype=pl.String) if known is None else known
    missing = (stripped == "") | (stripped.is_in(list(null_words)) & ~stripped.is_in(reference.implode()))
    meant = pl.DataFrame({"id": stripped}).select(pl.when(~missing.fill_null(True)).then("id")).to_series()
    if known is None:
        return _without_points(meant)
    open_ids = meant.filter(meant.is_not_null() & ~meant.is_in(known.implode()))
    if not len(open_ids) or not len(known):
        return meant
    pairs = _meeting(meant.drop_nulls().unique(), known)
    return meant.replace(pairs["id"], pairs["known"]) if pairs.height else meant


def _without_points(ids: pl.Series) -> pl.Series:
    """`12.0` becomes `12` where `12` is there too and all ids are numbers."""
    present = ids.drop_nulls()
    if not present.str.contains(r"^-?\d+(\.0+)?$").all():
        return ids
    short = ids.str.replace(r"\.0+$", "")
    both = short.is_in(present.implode()) & (short != ids)
    return pl.DataFrame({"id": ids, "short": short}).select(pl.when(both).then("short").otherwise("id")).to_series()


def _meeting(ids: pl.Series, known: pl.Series) -> pl.DataFrame:
    """Ids that are not known, and the known id that each can only mean."""
    ours = pl.DataFrame({"id": ids}).with_columns(_near("id").alias("near"), _far("id").alias("far"))
    theirs = pl.DataFrame({"known": known}).with_columns(_near("known").alias("near"), _far("known").alias("far"))
    unknown = ours.filter(~pl.col("id").is_in(known.implode()))
    near = unknown.join(theirs.filter(pl.col("near").is_unique()).select("known", "near"), on="near")
    rest = unknown.join(near, on="id", how="anti")
    only = ours.filter(pl.col("near").n_unique().over("far") == 1)
    far = rest.join(only.select("id"), on="id").join(
        theirs.filter(pl.col("far").is_unique()).select("known", "far"), on="far"
    )
    return pl.concat([near.select("id", "known"), far.select("id", "known")])


def _near(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1")


def _far(name: str) -> pl.Expr:
    return _near(name).str.replace(r"^0+(\d+)$", "$1")
