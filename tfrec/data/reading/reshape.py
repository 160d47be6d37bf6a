"""Rows that hold several events: 0/1 columns, and lists of what was shown."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tfrec import schema
from tfrec.data.reading.frames import collect, columns_of
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput

_LABELLED = r"^(.+)-([01])$"
LISTED = r"^\S+-[01](\s+\S+-[01])+$"
"""What was shown, with labels, in one text."""
_SAMPLE = 1_000


def events_of_flags(frame: pl.LazyFrame, flags: Sequence[str], what: str) -> pl.LazyFrame:
    """One event for each 1 in the flag columns, of the kind that the column is called.

    A row without a 1 was shown and not taken: it becomes an impression.

    Example:
        >>> log = pl.LazyFrame({"item_id": ["a", "b"], "click": [1, 0], "like": [1, 0]})
        >>> events_of_flags(log, ["click", "like"], "events").collect().rows()
        [('a', 'click'), ('a', 'like'), ('b', 'impression')]
    """
    found = columns_of(frame, what)
    missing = [name for name in flags if name not in found]
    if missing:
        raise InvalidInput(f"data.{what}.flags names {missing}, which {what} do not have; found {found}.")
    kinds = [pl.when(_is_one(name)).then(pl.lit(name)) for name in flags]
    listed = pl.concat_list(kinds).list.drop_nulls()
    event = pl.when(listed.list.len() > 0).then(listed).otherwise(pl.lit([schema.IMPRESSION]))
    return frame.with_columns(event.alias(schema.EVENT)).drop(flags).explode(schema.EVENT)


def _is_one(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase()
    return (text.is_in(["true", "yes"]) | (text.cast(pl.Float64, strict=False) > 0)).fill_null(False)


def events_of_impressions(frame: pl.LazyFrame, column: str, what: str) -> tuple[pl.LazyFrame, Notice]:
    """Events for a column of items that were shown together.

    `N1-1 N2-0` says which of them were clicked: each item becomes an impression, the clicked ones a click too.
    `a|b|c` beside an item_id: the row stays as it is, and each item listed becomes an impression.

    Args:
        frame: The log, with our column names.
        column: Text, separated by blanks, | or commas; or a list.
        what: What the input is called in messages.
    """
    names = columns_of(frame, what)
    if column not in names:
        raise InvalidInput(f"data.{what}.impressions is {column!r}, which {what} do not have; found {names}.")
    dtype = frame.collect_schema()[column]
    pieces = pl.col(column)
    if not isinstance(dtype, pl.List):
        sample = collect(frame.select(pl.col(column).cast(pl.String).drop_nulls().head(_SAMPLE)), what).to_series()
        separator = next((s for s in ("|", " ", ",", ";") if sample.str.contains(s, literal=True).any()), " ")
        pieces = pieces.cast(pl.String).str.strip_chars().str.split(separator)
    pieces = pieces.cast(pl.List(pl.String)).list.eval(pl.element().filter(pl.element().str.strip_chars() != ""))
    frame = frame.with_columns(pieces.alias(column))
    shown = collect(frame.select(pl.col(column)).head(_SAMPLE).explode(column).drop_nulls(), what).to_series()
    if len(shown) and shown.str.contains(_LABELLED).all():
        return _labelled(frame, column), Notice(f"{what}: {column!r} holds what was shown, with -1 for a click.")
    if schema.ITEM_ID not in names:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(schema.ITEM_ID))
    return _beside(frame, column), Notice(f"{what}: each item listed in {column!r} becomes an impression.")


def _labelled(frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
    kinds = (
        pl.when(pl.col(column).str.ends_with("-1"))
        .then(pl.lit([schema.IMPRESSION, schema.CLICK]))
        .otherwise(pl.lit([schema.IMPRESSION]))
    )
    frame = frame.explode(column).with_columns(
        pl.col(column).str.extract(_LABELLED, 1).alias(schema.ITEM_ID), kinds.alias(schema.EVENT)
    )
    return frame.drop(column if column != schema.ITEM_ID else []).explode(schema.EVENT)


def _beside(frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
    if schema.EVENT not in frame.collect_schema():
        frame = frame.with_columns(pl.lit(None, pl.String).alias(schema.EVENT))
    shown = pl.col(column).fill_null(pl.lit([], pl.List(pl.String)))
    own = pl.concat_list(pl.col(schema.ITEM_ID).cast(pl.String))
    frame = frame.with_columns(
        pl.concat_list(own, shown).alias(schema.ITEM_ID),
        pl.concat_list(
            pl.concat_list(pl.col(schema.EVENT).cast(pl.String)),
            shown.list.eval(
                pl.element().is_null().replace_strict({}, default=schema.IMPRESSION, return_dtype=pl.String)
            ),
        ).alias(schema.EVENT),
    )
    return frame.drop(column).explode(schema.ITEM_ID, schema.EVENT)
