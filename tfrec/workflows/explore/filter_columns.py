"""Which columns of a catalogue people can filter by, and each item's values of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.workflows.explore.pictures import picture_column

MOST_VALUES = 100
"""A column with more different values tells items apart."""


@dataclass(frozen=True)
class Facet:
    """A column to filter by: its values, the most frequent first, and each item's set of them."""

    values: list[str]
    of_item: list[frozenset[str]]


def facets(items: pl.DataFrame) -> dict[str, Facet]:
    """The columns of a catalogue that group its items, by name.

    A value is a list's entry, a part between "|", or the whole; where these are more than `MOST_VALUES`, the words of
    the column, and where these are too many still, or there is only one, the column is none to filter by.

    Example:
        >>> items = pl.DataFrame({"item_id": ["1", "2"], "text": ["", ""], "genre": ["Drama|War", "War"]})
        >>> facets(items)["genre"].values
        ['War', 'Drama']
    """
    found = {name: _facet([labels(value) for value in items[name].to_list()]) for name in shown_columns(items)}
    return {name: facet for name, facet in found.items() if facet is not None}


def shown_columns(items: pl.DataFrame) -> list[str]:
    """The columns that say something about an item beside its title and text: no vectors, bytes or pictures.

    Example:
        >>> shown_columns(pl.DataFrame({"item_id": ["1"], "year": [1999], "cover": [b"..."], "a_embedding": [[0.1]]}))
        ['year']
    """
    left_out = {schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, *schema.TITLES}
    left_out |= {name for name, dtype in items.schema.items() if dtype == pl.Binary} | {picture_column(items) or ""}
    return [name for name in items.columns if name not in left_out and not name.endswith(schema.EMBEDDING_SUFFIX)]


def labels(value: Any) -> list[str]:
    """The values that a cell holds: of a list its entries, of "a|b" its parts; none of an empty cell.

    Example:
        >>> labels("Drama | War"), labels(None), labels([1, 2])
        (['Drama', 'War'], [], ['1', '2'])
    """
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split("|")
    return [text for part in parts if part is not None and (text := str(part).strip())]


def _facet(rows: list[list[str]]) -> Facet | None:
    for split in (rows, [[word for label in row for word in label.split()] for row in rows]):
        counted = Counter(label for row in split for label in set(row))
        if 1 < len(counted) <= MOST_VALUES:
            values = sorted(counted, key=lambda label: (-counted[label], label))
            return Facet(values, [frozenset(row) for row in split])
    return None
