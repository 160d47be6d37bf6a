"""Assigns each item one of a few categories, which are shown as colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfrec.data.item_groups import Facet

COLOURED = 7
"""Categories with their own colour; more hues are hard to distinguish. All others share the eighth, "other"."""
OTHER = "other"


@dataclass(frozen=True)
class Categories:
    """The categories and each item's category.

    Args:
        column: The column that the categories come from.
        labels: At most `COLOURED` values of the column, most frequent first, then `OTHER` if there are more.
        of_item: int8 `[items]`, indices into `labels`; −1 for an item without a value.
    """

    column: str
    labels: list[str]
    of_item: np.ndarray


def categories(facets: Mapping[str, Facet]) -> Categories | None:
    """The categories of the first column whose values are mostly not numbers; None if there is no such column.

    If an item has several values, the rarest one counts, because it says the most.

    Example:
        >>> facet = Facet(["Drama", "War"], [frozenset({"Drama", "War"}), frozenset({"Drama"}), frozenset()])
        >>> categories({"genre": facet}).of_item.tolist()
        [1, 0, -1]
    """
    for column, facet in facets.items():
        if 2 * sum(_is_number(value) for value in facet.values) < len(facet.values):
            labels = facet.values[:COLOURED]
            places = {label: place for place, label in enumerate(labels)}
            of_item = [max((places.get(value, -1) for value in row), default=-2) for row in facet.of_item]
            other = np.where(np.array(of_item) == -1, len(labels), of_item)
            more = [OTHER] if len(facet.values) > len(labels) else []
            return Categories(column, [*labels, *more], np.maximum(other, -1).astype(np.int8))
    return None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
