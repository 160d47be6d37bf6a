"""Samples negatives: items that a user did not take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrec.data.histories import Queries
from tfrec.data.pair_set import PairSet


class Negatives:
    """Samples items that a user did not take, uniformly over the catalogue.

    Args:
        num_items: int. Items in the catalogue.
        rows: int `[n]`, user of each taken item.
        items: int `[n]`, the taken items.

    A user who took the whole catalogue has no negatives and gets arbitrary items.

    Example:
        >>> Negatives(3, np.array([0, 0]), np.array([0, 2])).draw(np.array([0]), 2, np.random.default_rng(0))
        array([[1, 1]])
    """

    def __init__(self, num_items: int, rows: np.ndarray, items: np.ndarray) -> None:
        self.num_items = num_items
        self.taken = PairSet(rows, items, num_items)

    def draw(self, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """int64 `[len(rows), count]`: negatives for the users `rows`, sampled with replacement."""
        drawn = rng.integers(0, self.num_items, (len(rows), count))
        for _ in range(10):
            taken = self.taken.contains(rows[:, None], drawn)
            if not taken.any():
                break
            drawn[taken] = rng.integers(0, self.num_items, int(taken.sum()))
        else:  # users who took most of the catalogue: choose directly among the rest
            for place in np.argwhere(self.taken.contains(rows[:, None], drawn)):
                left = self._left(int(rows[place[0]]))
                if len(left):
                    drawn[tuple(place)] = rng.choice(left)
        return drawn

    def _left(self, row: int) -> np.ndarray:
        """The items that user `row` did not take."""
        return np.setdiff1d(np.arange(self.num_items), self.taken.items_of(row))


@dataclass(frozen=True)
class Impressions:
    """Labelled candidates of queries: each target and its sampled negatives, in the order of the queries.

    Attributes:
        rows: int64 `[n]`, index of the query.
        items: int64 `[n]`, index of the candidate.
        labels: float32 `[n]`, 1 for targets and 0 for negatives.
    """

    rows: np.ndarray
    items: np.ndarray
    labels: np.ndarray

    @classmethod
    def sample(cls, queries: Queries, num_items: int, negatives: int, seed: int) -> Impressions:
        """Each target with `negatives` sampled items that are in neither the query's history nor its targets.

        Args:
            queries: The queries.
            num_items: int. Items in the catalogue.
            negatives: int. Negatives per target.
            seed: int. Seed of the sample.
        """
        rows = queries.target_rows
        taken = Negatives(
            num_items,
            np.concatenate([queries.history.rows, rows]),
            np.concatenate([queries.history.items, queries.target_items]),
        )
        drawn = taken.draw(rows, negatives, np.random.default_rng(seed))
        items = np.concatenate([queries.target_items[:, None], drawn], axis=1)
        labels = np.zeros(items.shape, np.float32)
        labels[:, 0] = 1
        return cls(np.repeat(rows, 1 + negatives), items.ravel(), labels.ravel())
