"""Counts that fade with time, against loops over the events."""

import numpy as np
import pytest

from tfrec.data.histories import Histories
from tfrec.models.shared.recent_counts import DAY, half_lives, recent_counts

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
