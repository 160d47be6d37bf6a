"""Co-occurrence neighbours with noise, to which each person adds a bounded amount."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.privacy.noise_source import NoiseSource, with_noise
from tfrec.progress import say

MOST_ITEMS = 30_000
"""Largest catalogue with noisy neighbours. Each pair of items gets noise, also those that nobody has."""
WINDOW = 5
"""Largest distance of two events that are a pair; a pair at distance d adds 1/√d."""

_FALSE_SHARE = 0.2
"""Of the pairs that are kept, the share that may be noise alone, on average."""
_LEAST = 2.5
"""Sums below as many standard deviations of the noise are never kept, to bound memory."""
_BLOCK = 512
"""Items whose pairs get noise at a time, to bound memory."""


def noisy_neighbours(
    histories: Histories, num_items: int, k: int, multiplier: float, source: NoiseSource, counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` items that occur near each item most often, by sums over people with Gaussian noise.

    A person adds a vector of norm 1 over all pairs of items: their pairs at most `WINDOW` events apart, nearer ones
    counting more, divided by the norm. So who has many pairs adds little to each. Of the pairs with the highest sums as
    many are kept as can be with at most a fifth of them noise alone (Benjamini & Hochberg 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x): where noise hides everything, none at all.

    Args:
        histories: The events that are counted.
        num_items: int. Items in the catalogue, at most `MOST_ITEMS`.
        k: int. Neighbours an item.
        multiplier: float. Standard deviation of the noise on each pair.
        source: Draws the noise.
        counted: bool `[events]`, events whose pairs count.

    Returns:
        indices: int32 `[num_items, k]`, descending by sum; −1 where there are fewer than k. values: float32 of the same
        shape, the sums with noise; 0 at padding.
    """
    keys, sums = bounded_pairs(histories, num_items, counted)
    blocks = [
        _above(_LEAST * multiplier, _noisy_block(keys, sums, first, num_items, multiplier, source), first)
        for first in range(0, num_items, _BLOCK)
    ]
    rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
    kept = _discovered(values / multiplier, num_items * (num_items - 1) // 2)
    rows, columns, values = rows[kept], columns[kept], values[kept]
    ends = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    return _best(*ends, np.tile(values, 2), num_items, k)


def may_have_neighbours(num_items: int) -> bool:
    """Whether the catalogue is small enough for noisy neighbours; says so where it is not."""
    if num_items > MOST_ITEMS:
        say(f"There are no co-occurrence neighbours: the catalogue has more than {MOST_ITEMS} items.")
    return num_items <= MOST_ITEMS


def bounded_pairs(histories: Histories, num_items: int, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums over people of what each adds to the pairs of items, before noise.

    Args:
        histories, num_items, counted: As for `noisy_neighbours`.

    Returns:
        keys: int64 `[pairs]`, `i * num_items + j` with i < j, ascending. sums: float64 `[pairs]`.
    """
    items, user, cells = histories.items.astype(np.int64), histories.rows.astype(np.int64), num_items**2
    keys, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
    for distance in range(1, min(WINDOW, len(items) - 1) + 1):
        one, other = items[:-distance], items[distance:]
        proper = (user[:-distance] == user[distance:]) & (one != other) & counted[:-distance] & counted[distance:]
        pair = np.minimum(one, other) * num_items + np.maximum(one, other)
        keys.append((user[distance:] * cells + pair)[proper])
        weights.append(np.full(proper.sum(), distance**-0.5))
    of_person, place = np.unique(np.concatenate(keys), return_inverse=True)
    of_pair = np.bincount(place, np.concatenate(weights), minlength=len(of_person))
    person = of_person // cells
    added = of_pair / np.sqrt(np.bincount(person, of_pair**2, minlength=len(histories)))[person]
    pairs, place = np.unique(of_person % cells, return_inverse=True)
    return pairs, np.bincount(place, added, minlength=len(pairs))


def _noisy_block(
    keys: np.ndarray, sums: np.ndarray, first: int, num_items: int, multiplier: float, source: NoiseSource
) -> np.ndarray:
    """float64 `[rows, num_items]`: the sums with noise of the pairs of a block of items, from `first` on."""
    rows = min(_BLOCK, num_items - first)
    start, stop = np.searchsorted(keys, [first * num_items, (first + rows) * num_items])
    dense = np.zeros(rows * num_items)
    dense[keys[start:stop] - first * num_items] = sums[start:stop]
    return with_noise(dense, source.gaussian("neighbours", first, len(dense)), multiplier).reshape(rows, num_items)


def _above(threshold: float, noisy: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the sums above a threshold; each pair is there once, as one above the diagonal."""
    row, column = np.nonzero((noisy > threshold) & (np.arange(noisy.shape[1]) > first + np.arange(len(noisy))[:, None]))
    return first + row, column, noisy[row, column]


def _discovered(deviations: np.ndarray, pairs: int) -> np.ndarray:
    """Places of the largest sums, of which at most `_FALSE_SHARE` are noise alone, on average.

    Args:
        deviations: float `[n]`, the sums over the standard deviation of the noise, all above `_LEAST`.
        pairs: int. Number of all sums.
    """
    from scipy.stats import norm

    order = np.argsort(-deviations)
    of_noise = pairs * norm.sf(deviations[order])
    enough = np.flatnonzero(of_noise <= _FALSE_SHARE * np.arange(1, len(order) + 1))
    return order[: enough[-1] + 1 if len(enough) else 0]


def _best(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, num_items: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` columns with the highest values of each row, as `noisy_neighbours` returns them."""
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    near, sums = np.full((num_items, k), -1, np.int32), np.zeros((num_items, k), np.float32)
    kept = place < k
    near[rows[kept], place[kept]] = columns[kept]
    sums[rows[kept], place[kept]] = values[kept]
    return near, sums
