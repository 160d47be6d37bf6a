"""Catalogue columns that group items, and each item's values in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from tfrec import schema
from tfrec.data.picture_columns import picture_column

MOST_VALUES = 100
"""A column with more distinct values identifies items rather than grouping them."""


@dataclass(frozen=True)
class Facet:
    """A column to filter by: its values, most frequent first, and each item's set of values."""

    values: list[str]
    of_item: list[frozenset[str]]


def facets(items: pl.DataFrame) -> dict[str, Facet]:
    """The catalogue columns that group items, by name.

    The values of a cell are its list entries, or the parts of its text between "|". If a column has more than
    `MOST_VALUES` of them, the words of its values are used instead. A column with too many words, or with only one
    value, is left out.

    Example:
        >>> items = pl.DataFrame({"item_id": ["1", "2"], "text": ["", ""], "genre": ["Drama|War", "War"]})
        >>> facets(items)["genre"].values
        ['War', 'Drama']
    """
    facet_of = {name: _facet([labels(value) for value in items[name].to_list()]) for name in shown_columns(items)}
    return {name: facet for name, facet in facet_of.items() if facet is not None}


def shown_columns(items: pl.DataFrame) -> list[str]:
    """The columns that describe an item besides its title and text, without vectors, bytes and pictures.

    Example:
        >>> shown_columns(pl.DataFrame({"item_id": ["1"], "year": [1999], "cover": [b"..."], "a_embedding": [[0.1]]}))
        ['year']
    """
    left_out = {schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, schema.IN_CATALOGUE, *schema.TITLES}
    left_out |= {name for name, dtype in items.schema.items() if dtype == pl.Binary} | {picture_column(items) or ""}
    return [name for name in items.columns if name not in left_out and not name.endswith(schema.EMBEDDING_SUFFIX)]


def labels(value: Any) -> list[str]:
    """The values of a cell: the entries of a list, or the parts of "a|b"; none if the cell is empty.

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
