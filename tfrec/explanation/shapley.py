"""Shapley values: how what a model says is shared out over words or features, complete to the last digit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfrec.errors import InvalidInput

Value = Callable[[np.ndarray], np.ndarray]
"""From which units are there, bool `[n, units]`, to what the model says, float `[n]`."""


@dataclass(frozen=True)
class Shares:
    """What each unit adds on average, when units come one after the other.

    Attributes:
        units: Names of the units, such as words.
        effects: float `[units]`; they sum to `full − empty`.
        full: float. What the model says with all units.
        empty: float. What it says with none.
    """

    units: tuple[str, ...]
    effects: np.ndarray
    full: float
    empty: float

    @property
    def completeness_error(self) -> float:
        """How far the sum of the effects is from `full − empty`, relative to it; 0 if nothing changes."""
        change = self.full - self.empty
        return abs(float(self.effects.sum()) - change) / abs(change) if change else 0.0


def shapley(value: Value, units: Sequence[str], *, permutations: int = 8, seed: int = 0) -> Shares:
    """Shapley values by sampled orders: units come in one after the other, and each gets what it changes.

    Every order is also taken backwards, so that what two units do together is halved between them (Castro, Gómez and
    Tejada 2009, https://doi.org/10.1016/j.cor.2008.04.004; Mitchell et al. 2022, https://arxiv.org/abs/2104.12199). The
    changes of an order add up to the whole, so the values do, however few orders there are.

    Args:
        value: What the model says of subsets of the units.
        units: Their names.
        permutations: int. Number of orders; twice as many are gone.
        seed: int. Of the orders.

    Example:
        >>> both = lambda there: 4.0 * (there[:, 0] & there[:, 1]) + there[:, 2]
        >>> shapley(both, ["tea", "pot", "blue"]).effects.tolist()
        [2.0, 2.0, 1.0]
    """
    if permutations < 1:
        raise InvalidInput(f"Expected permutations of at least 1, received {permutations}.")
    count, rng = len(units), np.random.default_rng(seed)
    orders = [order for _ in range(permutations) for order in _both_ways(rng.permutation(count))]
    steps = np.arange(count + 1)
    there = np.stack([steps[:, None] > np.argsort(order) for order in orders])
    distinct, place = np.unique(there.reshape(-1, count), axis=0, return_inverse=True)
    values = np.asarray(value(distinct), np.float64)[place.ravel()].reshape(len(orders), count + 1)
    effects = np.zeros(count)
    for order, of_order in zip(orders, values):
        effects[order] += np.diff(of_order) / len(orders)
    return Shares(tuple(units), effects, float(values[0, -1]), float(values[0, 0]))


def crosses(value: Value, units: Sequence[str]) -> dict[tuple[str, str], float]:
    """What pairs of units do together: what both add, less what each adds alone, to all the others.

    Args:
        value: What the model says of subsets of the units.
        units: Their names.

    Example:
        >>> both = lambda there: 4.0 * (there[:, 0] & there[:, 1]) + there[:, 2]
        >>> crosses(both, ["tea", "pot", "blue"])[("tea", "pot")]
        4.0
    """
    pairs = [(a, b) for a in range(len(units)) for b in range(a)]
    lacking = [(), *((a,) for a in range(len(units))), *pairs]
    there = np.ones([len(lacking), len(units)], bool)
    for row, gone in enumerate(lacking):
        there[row, list(gone)] = False
    values = dict(zip(lacking, np.asarray(value(there), np.float64).tolist()))
    return {(units[b], units[a]): values[()] - values[(a,)] - values[(b,)] + values[(a, b)] for a, b in pairs}


def _both_ways(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return order, order[::-1]
