"""What the lengths and repeats of the training histories say."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.data.pair_set import PairSet

NEVER = -1000.0
"""The bias on repeats where there are none."""


def memory_length(lengths: np.ndarray, at_least: int, at_most: int = 500) -> int:
    """Events that the bias on repeats and the memory read: `at_least`, or the least of 100, 200 and 500 that holds nine
    of ten histories; `at_most` where none up to it does.

    Example:
        >>> [memory_length(np.full(10, length), at_least=50) for length in (7, 70, 7000)]
        [50, 100, 500]
    """
    most = np.quantile(lengths, 0.9) if len(lengths) else 0
    enough = (length for length in (at_least, 100, 200, 500) if most <= length <= max(at_least, at_most))
    return next(enough, max(at_least, at_most))


def repeat_log_odds(training: Histories, num_items: int) -> float:
    """Log of how much more often people repeat than by chance; the bias on items already taken starts there when it is
    below 0, for where people never repeat it has far to go.

    Kept within −6…6; without training events it is 0. Where nobody repeats, and a hundred would have by chance, it is
    −1000, which no score makes up for: the log takes each item once, as one of ratings does.
    """
    rows = training.rows
    if not len(rows):
        return 0.0
    repeats = len(rows) - len(PairSet(rows, training.items, num_items))
    position = np.arange(len(rows)) - training.offsets[:-1][rows]
    by_chance = float(np.minimum(position, num_items).sum() / num_items)
    if not repeats and by_chance >= 100:
        return NEVER
    return float(np.clip(np.log((repeats + 0.5) / (by_chance + 0.5)), -6, 6))
