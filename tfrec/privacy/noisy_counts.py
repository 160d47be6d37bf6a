"""Counts of items with noise, to which everybody adds a vector of norm 1."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.privacy.noise_source import NoiseSource, with_noise


def noisy_counts(histories: Histories, num_items: int, multiplier: float, source: NoiseSource) -> np.ndarray:
    """How popular each item is, by sums over people with Gaussian noise.

    Of n different items, a person adds 1/√n to each. That is a vector of norm 1 whatever n is, so that nothing has to
    be left out of long histories, and the noise does not grow with them.

    Args:
        histories: The events that are counted.
        num_items: int. Items in the catalogue.
        multiplier: float. Standard deviation of the noise on each count.
        source: Draws the noise.

    Returns:
        float64 `[num_items]`, not negative.
    """
    noise = source.gaussian("counts", 0, num_items)
    return np.maximum(with_noise(bounded_counts(histories, num_items), noise, multiplier), 0)


def bounded_counts(histories: Histories, num_items: int) -> np.ndarray:
    """float64 `[num_items]`: the sums of `noisy_counts` before noise."""
    of_person = np.unique(histories.rows.astype(np.int64) * num_items + histories.items)
    person, item = of_person // num_items, of_person % num_items
    return np.bincount(item, np.bincount(person)[person] ** -0.5, minlength=num_items)
