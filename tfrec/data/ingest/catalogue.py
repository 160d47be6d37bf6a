"""The catalogue: as it is given, from rows of properties, or from the log itself."""

from __future__ import annotations

from typing import Any

import polars as pl

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.validate import typed_items
from tfrec.data.reading import Input, Notice, collect, columns_of, require
from tfrec.data.reading.guesses import SYNONYMS, plain
from tfrec.data.reading.identifiers import as_id, refuse_unusable_ids
from tfrec.errors import InvalidInput

PROPERTY = ("property", "attribute", "property_name", "attribute_name", "key")
"""What the column of names is called in a catalogue of one row a property."""
MOST_PROPERTIES = 60


def read_catalogue(
    given: Input | None, events: pl.LazyFrame, config: DataConfig
) -> tuple[pl.DataFrame, dict[str, dict[str, Any]], list[Notice]]:
    """The catalogue with string ids, one row an item.

    Args:
        given: The catalogue as it was read; None for the items of the log.
        events: The log, with our column names.
        config: The `data` section of the configuration.

    Returns:
        items: The catalogue. problems: Rows that were dropped, by reason. notices: What the console should say.
    """
    if given is None:
        return _items_of_log(events, config)
    if config.item_columns:
        raise InvalidInput("data.item_columns makes a catalogue of the log: pass no items, or leave it out.")
    frame, notices = given.frame, []
    names = columns_of(frame, "items")
    property_column = next((name for name in PROPERTY if name in names), None)
    if property_column and schema.VALUE in names and len(names) <= 4 and schema.ITEM_ID in names:
        wide, said = _pivoted(frame, property_column)
        frame, notices = wide.lazy(), [said]
    items, problems = typed_items(frame, given.typed and not notices)
    return items, problems, notices


def _pivoted(frame: pl.LazyFrame, property_column: str) -> tuple[pl.DataFrame, Notice]:
    """One row an item of one row a property; the latest value of each where there are times, else the last."""
    names = columns_of(frame, "items")
    time = next((name for name in names if plain(name) in SYNONYMS[schema.TIMESTAMP]), None)
    refuse_unusable_ids(frame, schema.ITEM_ID, "items")
    dtype = frame.collect_schema()[schema.ITEM_ID]
    rows = frame.with_columns(as_id(schema.ITEM_ID, dtype)).drop_nulls([schema.ITEM_ID, property_column])
    if time is not None:
        order = (
            pl.col(time).cast(pl.Float64, strict=False) if frame.collect_schema()[time] == pl.String else pl.col(time)
        )
        rows = rows.sort(order, maintain_order=True)
    order_of_items = collect(rows.select(schema.ITEM_ID).unique(maintain_order=True), "items")
    counts = rows.group_by(property_column).agg(pl.col(schema.ITEM_ID).n_unique().alias("items"))
    ranked = collect(counts.sort("items", property_column, descending=[True, False]), "items")
    properties = ranked[property_column].cast(pl.String)
    chosen = properties.filter(properties != schema.ITEM_ID).head(MOST_PROPERTIES).to_list()
    latest = collect(
        rows.filter(pl.col(property_column).cast(pl.String).is_in(chosen))
        .group_by(schema.ITEM_ID, property_column, maintain_order=True)
        .agg(pl.col(schema.VALUE).cast(pl.String).last()),
        "items",
    )
    wide = latest.pivot(property_column, index=schema.ITEM_ID, values=schema.VALUE)
    wide = order_of_items.join(wide, on=schema.ITEM_ID, how="left", maintain_order="left")
    wide = wide.select(schema.ITEM_ID, *(name for name in chosen if name in wide.columns))
    left = ranked.height - len(chosen)
    more = f", the {MOST_PROPERTIES} most frequent of {ranked.height:,}" if left > 0 else ""
    return wide, Notice(
        f"items: one row a property; read as {wide.height:,} items with {len(chosen)} properties{more}."
    )


def _items_of_log(
    events: pl.LazyFrame, config: DataConfig
) -> tuple[pl.DataFrame, dict[str, dict[str, Any]], list[Notice]]:
    require(events, "events", [schema.ITEM_ID])
    refuse_unusable_ids(events, schema.ITEM_ID, "events", config.written("events", schema.ITEM_ID))
    types = events.collect_schema()
    wrong = [n for n in config.item_columns if n in (schema.USER_ID, schema.TIMESTAMP, schema.EVENT, schema.VALUE)]
    missing = [name for name in config.item_columns if name not in types]
    if wrong or missing:
        raise InvalidInput(
            f"data.item_columns names {wrong or missing}, which "
            f"{'do not describe an item' if wrong else 'events do not have; found ' + str(list(types))}."
        )
    ids = as_id(schema.ITEM_ID, types[schema.ITEM_ID])
    described = [pl.col(name).drop_nulls().first() for name in config.item_columns]
    table = collect(events.select(ids, *config.item_columns).group_by(schema.ITEM_ID).agg(described), "events")
    table = table.filter(pl.col(schema.ITEM_ID).is_not_null() & ~pl.col(schema.ITEM_ID).is_in(config.null_words))
    texts = "with text of its columns" if config.item_columns else "and has no texts (data.item_columns may name some)"
    return (
        table.sort(schema.ITEM_ID),
        {},
        [Notice(f"items: the catalogue is the {table.height:,} items of the log {texts}.")],
    )
