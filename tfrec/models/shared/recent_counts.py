"""Counts in which events fade with real time."""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories

DAY = 86_400_000_000
"""Microseconds."""

SPAN_SHARES = (0.3, 0.1, 0.03, 0.01)
"""Half-lives that are tried, as shares of the time that training spans: a year of log gives four to 110 days."""


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
