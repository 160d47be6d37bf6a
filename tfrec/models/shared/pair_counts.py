"""Counts of pairs of items that occur near each other in histories."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfrec.data.histories import Histories, concatenate_ranges
from tfrec.data.pair_set import pair_keys

MOST_PAIRS = 2**27
"""Pairs of events whose counts may be kept together: 1 to 2 GB. These are the pairs of 6 million events in a window of
10."""

PAIRS_AT_ONCE = 2**25
"""Pairs of events that are counted together: 256 MB, and a few copies where they are sorted."""


def count_pairs(
    histories: Histories,
    num_items: int,
    window: int,
    counted: np.ndarray | None = None,
    weights: Callable[[np.ndarray], np.ndarray] | None = None,
    at: np.ndarray | None = None,
    decay: float = 1.0,
    backward: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts how often two items occur within `window` events of each other in a history, in either order.

    Args:
        histories: The histories.
        num_items: int. Items in the catalogue.
        window: int. Maximum distance; 1 means adjacent events.
        counted: bool `[events]`, events whose pairs count; the others keep their place. None for all.
        weights: From int `[n]`, flat positions of the later events of pairs, to float `[n]`, what the pairs count. None
            counts each pair once.
        at: int `[n]`, flat positions of the events whose pairs (i, j) count as those of i; None for all events.
        decay: float in (0, 1]. What a pair counts relative to one that is a step nearer.
        backward: float in [0, 1]. What a pair (i, j) counts if j came before i, relative to one after it.

    Returns:
        keys: int64 `[pairs]`, `i * num_items + j`, ascending.
        counts: float64 `[pairs]`. With `backward` 1 they are symmetric; an item near itself counts in both orders.
    """
    weighted = weights is not None or (decay, backward) != (1.0, 1.0)
    items = histories.items
    at = np.arange(len(items)) if at is None else at
    row = np.searchsorted(histories.offsets, at, side="right") - 1
    start, stop = histories.offsets[row], histories.offsets[row + 1]
    found, worth = [np.empty(0, np.int64)], [np.empty(0)]
    for distance in range(1, min(window, len(items)) + 1):
        pairs, values = [], []
        for step, factor in ((distance, 1.0), (-distance, backward)):
            here = np.flatnonzero((at + step >= start) & (at + step < stop))
            first, second = at[here], at[here] + step
            if counted is not None:
                both = counted[first] & counted[second]
                first, second = first[both], second[both]
            pairs.append(pair_keys(items[first], items[second], num_items))
            if weighted:
                own = np.ones(len(first)) if weights is None else weights(np.maximum(first, second))
                values.append(decay ** (distance - 1) * factor * own)
        found.append(np.concatenate(pairs))
        if weighted:
            worth.append(np.concatenate(values))
    if not weighted:
        keys, counts = np.unique(np.concatenate(found), return_counts=True)
        return keys, counts.astype(np.float64)
    return _summed(found, worth)


def _summed(keys: list[np.ndarray], values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys of all arrays, ascending, and the sums of their values.

    Values are added array by array: sums in another order would differ in their last bits, which decide between pairs
    that are worth the same.
    """
    distinct, place = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros(len(distinct))
    for part, worth in zip(np.split(place, np.cumsum([*map(len, keys)])[:-1]), values, strict=True):
        sums += np.bincount(part, worth, minlength=len(distinct))
    return distinct, sums


class PositionsOfItems:
    """Where each item occurs in a log.

    Args:
        items: int `[events]`, item indices.
        num_items: int. Items in the catalogue.

    Attributes:
        counts: int64 `[num_items]`, how often each occurs.

    Example:
        >>> import numpy as np
        >>> PositionsOfItems(np.array([2, 0, 2, 1]), num_items=3).of(np.array([1, 2])).tolist()
        [3, 0, 2]
    """

    def __init__(self, items: np.ndarray, num_items: int) -> None:
        self.counts = np.bincount(items, minlength=num_items)
        self._starts = np.cumsum(self.counts) - self.counts
        self._order = np.argsort(items, kind="stable").astype(np.uint32 if len(items) < 2**32 else np.int64)

    def of(self, items: np.ndarray) -> np.ndarray:
        """The positions of the events of some items, int64: item by item, ascending for each."""
        return self._order[concatenate_ranges(self._starts[items], self.counts[items])].astype(np.int64)


def are_too_many(events: int, window: int) -> bool:
    """Whether a log of so many events has more than `MOST_PAIRS` pairs, so that they should not be counted together."""
    return 2 * window * events > MOST_PAIRS


def count_pairs_in_parts(
    histories: Histories, num_items: int, window: int, counted: np.ndarray | None = None, **options: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`count_pairs` for ranges of items with about `PAIRS_AT_ONCE` pairs each, in the order of the catalogue.

    Args:
        histories, num_items, window, counted: As for `count_pairs`.
        options: Others of its arguments but `at`.

    Yields:
        keys, counts: Those of one range.
    """
    ranges = -(-2 * window * len(histories.items) // PAIRS_AT_ONCE)
    if ranges <= 1:
        yield count_pairs(histories, num_items, window, counted, **options)
        return
    positions = PositionsOfItems(histories.items, num_items)
    events = np.cumsum(positions.counts)
    cuts = np.searchsorted(events, np.linspace(0, events[-1], ranges + 1)[1:-1]) + 1
    for first, stop in itertools.pairwise(np.unique([0, *cuts, num_items]).tolist()):
        at = positions.of(np.arange(first, stop))
        yield count_pairs(histories, num_items, window, counted, at=at, **options)
