"""Sets of (row, item) pairs against Python's own sets, and the row of each event against a loop."""

import numpy as np
import pytest

from tfrec.data.histories import Histories, Queries
from tfrec.data.pair_set import PairSet

ROWS, ITEMS = 7, 5


@pytest.fixture
def taken():
    rng = np.random.default_rng(2)
    return rng.integers(0, ROWS, 20), rng.integers(0, ITEMS, 20)


def test_a_set_of_pairs_holds_what_pythons_own_set_does(taken):
    expected = set(zip(*(part.tolist() for part in taken), strict=True))
    pairs = PairSet(*taken, ITEMS)
    assert len(pairs) == len(expected)
    assert list(zip(*(part.tolist() for part in pairs.pairs()), strict=True)) == sorted(expected)
    rows, items = np.arange(ROWS + 2)[:, None], np.arange(ITEMS)[None, :]  # more rows than there are pairs of
    found = pairs.contains(rows, items)
    assert found.tolist() == [[(row, item) in expected for item in range(ITEMS)] for row in range(ROWS + 2)]
    for row in range(ROWS + 2):
        assert pairs.items_of(row).tolist() == sorted(item for other, item in expected if other == row)


def test_items_of_rows_are_those_of_each_row_in_turn(taken):
    pairs, rows = PairSet(*taken, ITEMS), np.array([3, ROWS + 1, 0, 3])
    items, offsets = pairs.items_of_rows(rows)
    assert [part.tolist() for part in np.split(items, offsets[1:-1])] == [pairs.items_of(row).tolist() for row in rows]


def test_positions_are_those_in_order_of_row_and_item(taken):
    pairs = PairSet(*taken, ITEMS)
    order = sorted(set(zip(*(part.tolist() for part in taken), strict=True)))
    for row in range(ROWS):
        for item in range(ITEMS):
            expected = order.index((row, item)) if (row, item) in order else -1
            assert pairs.positions(np.array(row), np.array(item)) == expected


def test_rows_beyond_what_an_int32_key_could_hold_stay_apart():
    rows = np.array([2_000_000, 1], np.int32)
    pairs = PairSet(rows, np.array([3, 4], np.int32), num_items=4_000_000)
    assert pairs.contains(rows, np.array([3, 3], np.int32)).tolist() == [True, False]


def test_an_empty_set_contains_nothing():
    empty = PairSet(np.empty(0, np.int64), np.empty(0, np.int64), ITEMS)
    assert len(empty) == 0 and not empty.contains(np.arange(3), np.zeros(3, int)).any()
    assert empty.items_of(0).tolist() == []


def test_each_event_and_each_target_knows_its_row():
    lengths, targets = [2, 0, 3], [1, 2, 0]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.zeros(5, np.int32)
    histories = Histories(np.array(["a", "b", "c"], object), offsets, flat, flat, flat, flat, flat == 0)
    queries = Queries(histories, np.concatenate([[0], np.cumsum(targets)]), np.zeros(3, np.int32))
    assert histories.rows.tolist() == [row for row, length in enumerate(lengths) for _ in range(length)]
    assert queries.target_rows.tolist() == [row for row, count in enumerate(targets) for _ in range(count)]
