"""Counts that fade with time, against loops over the events."""

import math

import numpy as np
import pytest

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.models.shared.recent_counts import DAY, best_half_life, half_lives, popularity_half_life, recent_counts

ITEMS = 6


def histories(items, days, targets=None, clock=True):
    items, days = np.asarray(items, np.int32), np.asarray(days, float)
    targets = np.ones(len(items), bool) if targets is None else np.asarray(targets, bool)
    times = (days * DAY).astype(np.int64)
    flat = np.zeros(len(items), np.int16)
    return Histories(np.array(["u"], object), np.array([0, len(items)]), items, flat, times, flat, targets, clock)


def test_an_event_counts_half_for_each_half_life_and_the_sum_is_the_number_of_events():
    items, days, targets = [0, 1, 1, 3, 0], [0, 1, 2, 3.5, 4], [1, 1, 1, 1, 0]
    found = recent_counts(histories(items, days, targets), ITEMS, half_life=2.0)
    expected = [0.0] * ITEMS
    for item, day, target in zip(items, days, targets, strict=True):
        expected[item] += target * 0.5 ** ((3.5 - day) / 2)
    assert found.tolist() == pytest.approx([4 * count / sum(expected) for count in expected])


def test_without_a_half_life_all_events_count_alike():
    assert recent_counts(histories([0, 1, 1], [0, 5, 9]), ITEMS, None).tolist() == [1, 2, 0, 0, 0, 0]
    assert recent_counts(histories([], []), ITEMS, 1.0).tolist() == [0] * ITEMS


def test_half_lives_are_shares_of_the_time_that_training_spans():
    assert half_lives(histories([0, 1], [10, 110])) == pytest.approx([30, 10, 3, 1])
    assert half_lives(histories([0, 1], [10, 110], clock=False)) == []
    assert half_lives(histories([0, 1], [10, 10])) == half_lives(histories([], [])) == []


def likelihood_by_loop(items, days, half_life):
    """Of the newest tenth of the events, by the others."""
    cut = days[math.ceil(0.9 * (len(days) - 1))]
    old = [(item, 1.0 if half_life is None else 0.5 ** ((cut - day) / half_life))
           for item, day in zip(items, days, strict=True) if day < cut]  # fmt: skip
    total = sum(weight for _, weight in old)
    counts = [1 + len(old) / total * sum(weight for other, weight in old if other == item) for item in range(ITEMS)]
    new = [item for item, day in zip(items, days, strict=True) if day >= cut]
    return sum(math.log(counts[item] / sum(counts)) for item in new)


@pytest.mark.parametrize("drift", [0, 1])
def test_the_best_half_life_is_that_of_the_highest_likelihood(drift):
    rng, days = np.random.default_rng(drift), np.arange(300.0)
    items = (rng.integers(0, 2, 300) + drift * (days // 60).astype(int)) % ITEMS
    log = histories(items, days)
    expected = max([None, *half_lives(log)], key=lambda days_: likelihood_by_loop(items, days, days_))
    assert best_half_life(log, ITEMS) == expected
    assert (expected is None or expected > 80) if not drift else expected < 30


def test_the_option_says_days_or_lets_the_log_decide():
    log = histories([0, 1], [0, 1])
    assert popularity_half_life(None, log, ITEMS) is None and popularity_half_life(7, log, ITEMS) == 7.0
    ordered = histories([0, 1, 1], [0, 1, 2], clock=False)
    assert popularity_half_life("auto", ordered, ITEMS) is None
    assert popularity_half_life("auto", histories([], []), ITEMS) is None
    with pytest.raises(InvalidInput, match="needs a clock"):
        popularity_half_life(7, ordered, ITEMS)
