"""Counts of items with noise, to which each person adds a bounded number of events."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.privacy.noise_source import NoiseSource, with_noise

MOST_ITEMS = 20
"""Different items of a person that are counted, drawn at random where there are more. With n of them the noise on each
count grows with √n, so that what the longest histories add would cost all others more than it is worth."""


def noisy_counts(histories: Histories, num_items: int, multiplier: float, source: NoiseSource) -> np.ndarray:
    """How many people had each item, with Gaussian noise and at most `MOST_ITEMS` items a person.

    Args:
        histories: The events that are counted.
        num_items: int. Items in the catalogue.
        multiplier: float. Standard deviation of the noise over √`MOST_ITEMS`, which is the most that one person can
            change the counts by, in Euclidean norm.
        source: Draws the noise, and the items that are counted.

    Returns:
        int64 `[num_items]`, not negative.
    """
    counts = np.bincount(bounded_items(histories, num_items, source), minlength=num_items)
    deviation = multiplier * np.sqrt(MOST_ITEMS)
    noisy = with_noise(counts, source.gaussian("counts", 0, num_items), deviation)
    return np.maximum(np.rint(noisy), 0).astype(np.int64)


def bounded_items(histories: Histories, num_items: int, source: NoiseSource) -> np.ndarray:
    """int64: up to `MOST_ITEMS` different items of each person, one after another."""
    pairs = np.unique(histories.rows.astype(np.int64) * num_items + histories.items)
    rows, drawn = pairs // num_items, source.uniform("counted items", 0, len(pairs))
    order = np.lexsort([drawn, rows])
    first = np.searchsorted(rows, rows, side="left")  # `rows` is sorted, and stays so in `order`
    kept: np.ndarray = (pairs % num_items)[order[np.arange(len(pairs)) - first < MOST_ITEMS]]
    return kept
