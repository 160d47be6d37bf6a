"""What users have and what lists hold, as columns of yes and no that can be put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import shorten
from typing import Final

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.item_groups import facets

FREQUENT: Final = 100
"""Items that conditions may name: those that most users have in their histories; and half as many of lists."""
VALUES: Final = 30
"""Values of a column of the catalogue that are looked at, the most frequent ones."""
LONGEST: Final = 80
"""Characters of an item's name: rules are to be read, and texts that stand in for titles are long."""
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Trait:
    """Something that is true of a user's history or list, or is not.

    Attributes:
        kind: Which one: the name of a template of `sentences`.
        subject: Name of an item, or value of a column.
        column: The column, for values.
        number: Percent, events or days.
    """

    kind: str
    subject: str = ""
    column: str = ""
    number: int = 0


Traits = list[tuple[Trait, np.ndarray]]
"""Traits, and of which of the users each is true, bool `[users]`."""


@dataclass(frozen=True)
class Catalogue:
    """How items are called and grouped.

    Attributes:
        names: Name of each item.
        groups: Column and value of each group.
        member: bool `[items, groups]`.
    """

    names: Sequence[str]
    groups: list[tuple[str, str]]
    member: np.ndarray

    @classmethod
    def of(cls, items: pl.DataFrame, titles: Sequence[str]) -> Catalogue:
        """The groups of a catalogue are the values of the columns by which `tfrec explore` filters.

        Names are titles, shortened; where several items have the same, with their ids.
        """
        short = [shorten(title, LONGEST, placeholder="…") for title in titles]
        count = Counter(short)
        ids = items[schema.ITEM_ID].cast(pl.String).to_list()
        names = [f"{name} [{item}]" if count[name] > 1 else name for name, item in zip(short, ids)]
        groups, columns = [], []
        for column, facet in facets(items).items():
            for value in facet.values[:VALUES]:
                groups.append((column, value))
                columns.append(np.array([value in row for row in facet.of_item]))
        return cls(names, groups, np.stack(columns, axis=1) if columns else np.zeros([items.height, 0], bool))


def history_traits(histories: Histories, catalogue: Catalogue, known: np.ndarray) -> Traits:
    """What users have: frequent items, groups of items, the newest event, the length and the recency of histories.

    Args:
        histories: The histories, none of which is empty.
        catalogue: The catalogue.
        known: bool `[users]`, the users from whom bounds and frequent items are taken.
    """
    users, row = len(histories), histories.rows
    found: Traits = []
    there = np.unique(row * len(catalogue.names) + histories.items)
    owner, item = np.divmod(there, len(catalogue.names))
    for number in _most_frequent(item[known[owner]], FREQUENT):
        found.append((Trait("has", catalogue.names[number]), _marked(owner[item == number], users)))
    newest = catalogue.member[histories.items[histories.offsets[1:] - 1]]
    for group, (column, value) in enumerate(catalogue.groups):
        inside = catalogue.member[histories.items, group]
        percent = 100 * np.bincount(row, inside, minlength=users) / histories.lengths
        bound = ceil(np.quantile(percent[known], 0.75))
        often = Trait("often", value, column, bound) if bound else Trait("ever", value, column)
        found.append((often, percent >= bound if bound else percent > 0))
        found.append((Trait("newest", value, column), newest[:, group]))
    return found + _length(histories, known) + _recency(histories, known)


def list_traits(items: np.ndarray, catalogue: Catalogue, known: np.ndarray) -> Traits:
    """What lists hold: single items, and groups of which the first or most of the items are.

    Args:
        items: int32 `[users, k]`, −1 is padding.
        catalogue: The catalogue.
        known: bool `[users]`, the users whose lists say which items are looked at.
    """
    real = items >= 0
    found: Traits = [
        (Trait("gets", catalogue.names[number]), (items == number).any(axis=1))
        for number in _most_frequent(items[known][real[known]], FREQUENT // 2)
    ]
    for group, (column, value) in enumerate(catalogue.groups):
        inside = catalogue.member[np.maximum(items, 0), group] & real
        found.append((Trait("first", value, column), inside[:, 0]))
        found.append((Trait("mostly", value, column), 2 * inside.sum(axis=1) > real.sum(axis=1)))
    return found


def frequent(traits: Traits, known: np.ndarray, support: int) -> tuple[list[Trait], np.ndarray]:
    """The traits that enough of the known users have and enough lack, and bool `[users, traits]`."""
    kept = [(trait, true) for trait, true in traits if support <= true[known].sum() <= known.sum() - support]
    columns = [true for _, true in kept]
    return [trait for trait, _ in kept], np.stack(columns, axis=1) if kept else np.zeros([len(known), 0], bool)


def _length(histories: Histories, known: np.ndarray) -> Traits:
    lengths = histories.lengths
    short, long = (ceil(np.quantile(lengths[known], share)) for share in (1 / 3, 2 / 3))
    return [(Trait("shorter", number=short), lengths < short), (Trait("longer", number=long), lengths >= long)]


def _recency(histories: Histories, known: np.ndarray) -> Traits:
    """Whether the newest event is one of the last days of the data; nothing without a clock."""
    if not histories.clock:
        return []
    newest = histories.timestamps[histories.offsets[1:] - 1]
    age = (histories.timestamps.max() - newest) / _DAY
    days = max(ceil(np.median(age[known])), 1)
    return [(Trait("recent", number=days), age < days), (Trait("idle", number=days), age >= days)]


def _most_frequent(items: np.ndarray, most: int) -> list[int]:
    counts = np.bincount(items)
    order = np.argsort(-counts, kind="stable")[:most]
    return [int(item) for item in order if counts[item]]


def _marked(rows: np.ndarray, users: int) -> np.ndarray:
    marked = np.zeros(users, bool)
    marked[rows] = True
    return marked
