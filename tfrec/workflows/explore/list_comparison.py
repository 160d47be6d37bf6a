"""Compares two lists for the same history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ListComparison:
    """The differences between two lists for the same history.

    Args:
        overlap: Number of common items relative to the longer list.
        moved: For each item of the second list, the number of ranks it rose from the first; None if it is new.
        gone: Items of the first list that are not in the second.
    """

    overlap: float
    moved: dict[str, int | None]
    gone: list[str]


def compare_lists(first: Sequence[str], second: Sequence[str]) -> ListComparison:
    """The changes from one list of item ids to another.

    Example:
        >>> compare_lists(["a", "b", "c"], ["b", "d", "a"])
        ListComparison(overlap=0.666..., moved={'b': 1, 'd': None, 'a': -2}, gone=['c'])
    """
    place = {item: rank for rank, item in enumerate(first)}
    moved = {item: place[item] - rank if item in place else None for rank, item in enumerate(second)}
    both = sum(change is not None for change in moved.values())
    longest = max(len(first), len(second))
    return ListComparison(both / longest if longest else 1.0, moved, [item for item in first if item not in moved])
