"""A sample of queries keeps each query's own history and targets."""

import numpy as np
from numpy.testing import assert_array_equal

from tfrec.data.histories import Histories, Queries


def queries(count):
    """Query i has i + 1 events and i % 3 + 1 targets, numbered so that each identifies i."""
    lengths, targets = np.arange(count) + 1, np.arange(count) % 3 + 1
    items = np.repeat(np.arange(count), lengths).astype(np.int32)
    zeros = np.zeros(len(items), np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    history = Histories(
        np.array([f"u{i}" for i in range(count)], object), offsets, items, zeros, zeros, zeros * 1.0, zeros == 0
    )
    return Queries(history, np.concatenate([[0], np.cumsum(targets)]), np.repeat(np.arange(count) + 100, targets))


def test_a_sample_keeps_histories_and_targets_and_the_order():
    some = queries(40).sample(7, seed=3)
    assert len(some) == 7 and len(some.target_offsets) == 8
    numbers = [int(user[1:]) for user in some.user_ids]
    assert numbers == sorted(set(numbers))
    for row, number in enumerate(numbers):
        assert_array_equal(some.history.items[some.history.row(row)], [number] * (number + 1))
        wanted = some.target_items[some.target_offsets[row] : some.target_offsets[row + 1]]
        assert_array_equal(wanted, [number + 100] * (number % 3 + 1))


def test_targets_among_some_items_keep_their_queries_and_histories():
    whole = queries(7)
    wanted = np.zeros(107, bool)
    wanted[[101, 105]] = True  # queries 1 and 5 have two and three targets of that number
    some = whole.with_targets_among(wanted)
    assert some.user_ids.tolist() == ["u1", "u5"]
    assert_array_equal(some.history.items, [1] * 2 + [5] * 6)
    assert_array_equal(some.target_offsets, [0, 2, 5])
    assert_array_equal(some.target_items, [101] * 2 + [105] * 3)
    assert whole.with_targets_among(None) is whole


def test_samples_depend_only_on_the_seed_and_small_query_sets_are_unchanged():
    whole = queries(40)
    assert_array_equal(whole.sample(7, seed=3).user_ids, whole.sample(7, seed=3).user_ids)
    assert whole.sample(7, seed=3).user_ids.tolist() != whole.sample(7, seed=4).user_ids.tolist()
    assert whole.sample(40, seed=3) is whole
    assert len(queries(0).sample(5, seed=0)) == 0
