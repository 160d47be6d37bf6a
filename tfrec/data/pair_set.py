"""A set of (row, item) pairs, such as who took what, that is asked for many pairs at a time."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import concatenate_ranges


def pair_keys(rows: np.ndarray, items: np.ndarray | int, num_items: int) -> np.ndarray:
    """A number for each (row, item) pair, int64; pairs sort like (row, item).

    Args:
        rows: int.
        items: int below `num_items`, of a shape that broadcasts with that of `rows`.
        num_items: Number of items in the catalogue.
    """
    return np.asarray(rows, np.int64) * num_items + items


class PairSet:
    """Distinct (row, item) pairs, in order of row and item.

    Args:
        rows: int `[n]`.
        items: int `[n]`, item indices. A pair may occur more than once.
        num_items: Number of items in the catalogue.

    Example:
        >>> taken = PairSet(np.array([0, 0, 2, 0]), np.array([5, 1, 3, 5]), num_items=6)
        >>> len(taken), taken.items_of(0).tolist()
        (3, [1, 5])
        >>> taken.contains(np.array([[0], [2]]), np.array([3, 5])).tolist()
        [[False, True], [True, False]]
    """

    def __init__(self, rows: np.ndarray, items: np.ndarray, num_items: int) -> None:
        self.num_items = num_items
        self._keys = np.unique(pair_keys(rows, items, num_items))

    def __len__(self) -> int:
        return len(self._keys)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and items of the pairs, int64 `[pairs]` each."""
        rows, items = np.divmod(self._keys, self.num_items)
        return rows, items

    def items_of(self, row: int) -> np.ndarray:
        """Items of a row, int64, ascending."""
        first, stop = np.searchsorted(self._keys, [row * self.num_items, (row + 1) * self.num_items])
        return self._keys[first:stop] - row * self.num_items

    def items_of_rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items of several rows, ascending within each.

        Args:
            rows: int `[n]`. A row may be repeated.

        Returns:
            items: int64 `[items of the rows]`, concatenated. offsets: int64 `[n + 1]`, where those of each row begin.
        """
        first = np.searchsorted(self._keys, pair_keys(rows, 0, self.num_items))
        stop = np.searchsorted(self._keys, pair_keys(rows, self.num_items, self.num_items))
        counts = stop - first
        items = self._keys[concatenate_ranges(first, counts)] % self.num_items
        return items, np.concatenate([[0], np.cumsum(counts)])

    def contains(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each pair is in the set, bool, of the shape that `rows` and `items` broadcast to."""
        return self.positions(rows, items) >= 0

    def positions(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The position of each pair in the order of the set, int64; −1 for a pair that is not in it."""
        keys = pair_keys(rows, items, self.num_items)
        if not len(self):
            return np.full(keys.shape, -1)
        found = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        return np.where(self._keys[found] == keys, found, -1)
