"""Counts in which events fade with real time, and how fast they should."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

DAY = 86_400_000_000
"""Microseconds."""

SPAN_SHARES = (0.3, 0.1, 0.03, 0.01)
"""Half-lives that are tried, as shares of the time that training spans: a year of log gives four to 110 days."""

_HELD_BACK = 0.1
"""Share of the newest target events that half-lives are to predict."""


def event_weights(timestamps: np.ndarray, half_life: float, now: int | None = None) -> np.ndarray:
    """The weight of each event: 1 now, and half of it for every half-life that the event is older.

    Args:
        timestamps: int64 `[events]`, microseconds.
        half_life: float. Days.
        now: int. Microseconds; None for the time of the newest event.

    Returns:
        float64 `[events]`.

    Example:
        >>> event_weights(np.array([0, DAY, 2 * DAY]), half_life=1.0).tolist()
        [0.25, 0.5, 1.0]
    """
    if not len(timestamps):
        return np.zeros(0)
    now = int(timestamps.max()) if now is None else now
    return np.exp2((timestamps - now) / (half_life * DAY))


def recent_counts(training: Histories, num_items: int, half_life: float | None) -> np.ndarray:
    """How often each item was a target, where older events count less: float64 `[num_items]`.

    The sum is the number of target events, so that the counts compare with plain ones.

    Args:
        training: The training histories.
        num_items: int. Items in the catalogue.
        half_life: float. Days; None for plain counts.
    """
    items, times = training.items[training.is_target], training.timestamps[training.is_target]
    if half_life is None:
        return np.bincount(items, minlength=num_items).astype(np.float64)
    weights = event_weights(times, half_life)
    return np.bincount(items, weights * (len(items) / max(weights.sum(), 1e-300)), minlength=num_items)


def half_lives(training: Histories) -> list[float]:
    """The half-lives to try, in days, longest first; none without a clock or where all events are at one time."""
    times = training.timestamps
    span = (int(times.max()) - int(times.min())) / DAY if training.clock and len(times) else 0.0
    return [share * span for share in SPAN_SHARES] if span else []


def best_half_life(training: Histories, num_items: int) -> float | None:
    """The half-life under which popularity predicts the end of training best, in days; None for plain counts.

    The newest tenth of the target events is held back. The others, weighted as they were at its beginning, give each
    item a probability (with one event more for every item), and the half-life with the highest likelihood is chosen.

    Args:
        training: The training histories.
        num_items: int. Items in the catalogue.
    """
    items, times = training.items[training.is_target], training.timestamps[training.is_target]
    candidates: list[float | None] = [None, *half_lives(training)]
    if not len(items):
        return None
    cut = int(np.quantile(times, 1 - _HELD_BACK, method="higher"))
    known = times < cut

    def log_likelihood(half_life: float | None) -> float:
        weights = np.ones(int(known.sum())) if half_life is None else event_weights(times[known], half_life, cut)
        counts = 1 + np.bincount(items[known], weights, num_items) * (known.sum() / max(weights.sum(), 1e-300))
        return float(np.log(counts / counts.sum())[items[~known]].sum())

    return max(candidates, key=log_likelihood)


def popularity_half_life(option: float | str | None, training: Histories, num_items: int) -> float | None:
    """The half-life that `model.popularity_half_life` asks for, in days; None for plain counts.

    Raises:
        InvalidInput: Days are given, but the log has no clock.
    """
    if option == "auto":
        return best_half_life(training, num_items)
    if option is not None and not training.clock:
        raise InvalidInput(
            "model.popularity_half_life needs a clock, but the timestamps are order numbers. Set it to null or auto."
        )
    return None if option is None else float(option)
