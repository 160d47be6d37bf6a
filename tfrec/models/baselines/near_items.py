"""Which items occur near which, counted in the log: all pairs at once, or of a large log those of some items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tfrec.data.histories import Histories, row_numbers
from tfrec.models.shared import pair_counts
from tfrec.models.shared.pair_counts import PositionsOfItems, count_pairs, count_pairs_in_parts


@dataclass(frozen=True)
class NearItems:
    """A sparse matrix of items by items.

    Attributes:
        starts: int64 `[num_items + 1]`, where the row of each item begins.
        others: int32, the columns, ascending within a row.
        values: float32.
    """

    starts: np.ndarray
    others: np.ndarray
    values: np.ndarray

    def as_shares(self) -> NearItems:
        """The matrix with rows whose sum is 1."""
        item = row_numbers(np.diff(self.starts))
        sums = np.bincount(item, weights=self.values, minlength=len(self.starts) - 1)
        return replace(self, values=self.values / sums[item].astype(np.float32))


class NearItemCounter:
    """Counts how often items occur near each other in training sequences.

    Args:
        training: The training sequences.
        num_items: int. Items in the catalogue.
        window: int. Maximum distance in events, to each side.
        counted: bool `[events]`, events whose pairs count.
        weights: From the positions of the later events of pairs to what the pairs count; None for once each.
    """

    def __init__(
        self,
        training: Histories,
        num_items: int,
        window: int,
        counted: np.ndarray,
        weights: Callable[[np.ndarray], np.ndarray] | None,
    ) -> None:
        self._training, self._num_items, self._window = training, num_items, window
        self._counted, self._weights = counted, weights

    @property
    def fits_into_memory(self) -> bool:
        """Whether all pairs may be counted together."""
        return not pair_counts.are_too_many(len(self._training.items), self._window)

    def all(self) -> NearItems:
        """What is near any item."""
        parts = count_pairs_in_parts(*self._arguments(), weights=self._weights)
        keys, counts = zip(*((keys, counts.astype(np.float32)) for keys, counts in parts), strict=True)
        return self._near(np.concatenate(keys), np.concatenate(counts))

    def of(self, items: np.ndarray) -> NearItems:
        """What is near some items, int `[n]`; the rows of the others are empty."""
        at = self._positions.of(np.unique(items))
        return self._near(*count_pairs(*self._arguments(), weights=self._weights, at=at))

    def _arguments(self) -> tuple[Histories, int, int, np.ndarray]:
        return self._training, self._num_items, self._window, self._counted

    def _near(self, keys: np.ndarray, counts: np.ndarray) -> NearItems:
        starts = np.searchsorted(keys, np.arange(self._num_items + 1) * self._num_items)
        return NearItems(starts, (keys % self._num_items).astype(np.int32), counts.astype(np.float32))

    def cuts(self, rows: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
        """Cuts rows of items into parts whose items do not have too many pairs.

        Args:
            rows: int `[n]`, ascending, the row of each item.
            items: int `[n]`.
            count: int. Number of rows.

        Returns:
            int, the first row of each part but the first.
        """
        pairs = np.bincount(rows, 2.0 * self._window * self._positions.counts[items], minlength=count)
        return np.flatnonzero(np.diff(np.cumsum(pairs) // pair_counts.PAIRS_AT_ONCE)) + 1

    @cached_property
    def _positions(self) -> PositionsOfItems:
        return PositionsOfItems(self._training.items, self._num_items)
