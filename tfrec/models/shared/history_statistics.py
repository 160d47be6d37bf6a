"""Statistics of the training histories from which models are initialised: lengths and repeats."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.data.pair_set import PairSet

NEVER = -1000.0
"""Initial bias on repeats if no user ever repeats; no other score can make up for it."""


def memory_length(lengths: np.ndarray, at_least: int, at_most: int = 500) -> int:
    """Number of newest events that the repeat bias and the neighbour memory use.

    This is the smallest of `at_least`, 100, 200 and 500 that covers 90% of the histories in full, or `at_most` if none
    up to `at_most` does.

    Args:
        lengths: int `[users]`, events of each training history.
        at_least: int. Lower limit.
        at_most: int. Upper limit, unless `at_least` is higher.

    Example:
        >>> [memory_length(np.full(10, length), at_least=50) for length in (7, 70, 7000)]
        [50, 100, 500]
    """
    needed = np.quantile(lengths, 0.9) if len(lengths) else 0
    enough = (length for length in (at_least, 100, 200, 500) if needed <= length <= max(at_least, at_most))
    return next(enough, max(at_least, at_most))


def repeat_log_odds(training: Histories, num_items: int) -> float:
    """Log of the ratio of observed repeats to repeats expected by chance.

    If negative, it is the initial value of the bias on items already taken; where users hardly ever repeat, training
    alone would take long to get there.

    Args:
        training: Training histories.
        num_items: int. Items in the catalogue.

    Returns:
        A value clipped to −6…6; 0 without training events. If nobody repeats although at least 100 repeats are expected
        by chance, −1000: the log contains each item once per user, as a log of ratings does.
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
