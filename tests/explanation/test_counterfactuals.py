"""What would change a list: the smallest set of events that keeps an item in it, and an event that brings one in."""

from itertools import combinations

import numpy as np
import pytest

from tests.explanation.toy import ITEMS, ROWS, make_histories
from tfrec.explanation.counterfactuals import Removals, added_event, list_margins, with_event
from tfrec.explanation.deletions import RescoredDeletions

HISTORIES = make_histories(ROWS)


class Votes:
    """An item's score is the number of events on it and on the item before it."""

    name, num_items = "votes", ITEMS

    def scores(self, histories, rows):
        counts = np.zeros([len(rows), ITEMS], np.float32)
        for place, row in enumerate(rows):
            for item in histories.items[histories.row(row)]:
                counts[place, item] += 1
                counts[place, (item + 1) % ITEMS] += 1
        return counts + 0.001 * np.arange(ITEMS, dtype=np.float32)


def in_list(history, item, k, excluded):
    scores = Votes().scores(make_histories([history]), [0])[0]
    others = [score for other, score in enumerate(scores) if other != item and other not in excluded]
    return sum(score >= scores[item] for score in others) < k


def smallest(history, item, k, excluded):
    for size in range(1, len(history) + 1):
        for gone in combinations(range(len(history)), size):
            if not in_list([event for place, event in enumerate(history) if place not in gone], item, k, excluded):
                return size
    return None


@pytest.mark.parametrize("exact", [1, 5])
def test_without_the_set_the_item_leaves_and_no_smaller_set_does_it(exact):
    excluded = np.zeros([len(ROWS), ITEMS], bool)
    excluded[:, 8] = True
    removals = Removals(RescoredDeletions.of_scorer(Votes(), 50), k=2, exact=exact)
    for item in range(8):
        rows = np.array([row for row, history in enumerate(ROWS) if in_list(history, item, 2, {8})])
        if not len(rows):
            continue
        found = removals.sets(HISTORIES, rows, np.full(len(rows), item), excluded[rows], events=50)
        for row, gone in zip(rows, found):
            size = smallest(ROWS[row], item, 2, {8})
            if gone is None:
                assert size is None or (exact == 1 and size > 1)
                continue
            left = [event for place, event in enumerate(ROWS[row]) if place not in gone]
            assert not in_list(left, item, 2, {8})
            assert len(gone) == size if exact == 5 or size == 1 else len(gone) >= size


def test_margins_are_over_the_others_that_may_be_listed():
    scores = np.array([[[5.0, 4.0, 3.0, 3.0]]])
    free = np.zeros([1, 4], bool)
    assert list_margins(scores, np.array([0]), 1, free)[0, 0] == 1
    assert list_margins(scores, np.array([2]), 2, free)[0, 0] == -1
    assert list_margins(scores, np.array([2]), 3, free)[0, 0] == 0
    first = np.array([[True, False, False, False]])
    assert list_margins(scores, np.array([2]), 2, first)[0, 0] == 0
    assert np.isinf(list_margins(scores, np.array([2]), 4, free)[0, 0])


def test_the_event_that_brings_an_item_in_does():
    rows, items = np.array([0, 1, 2]), np.array([6, 4, 4])
    candidates = np.array([[6, 2, 0], [0, 3, -1], [0, 1, 2]], np.int32)
    added = added_event(Votes(), HISTORIES, rows, items, candidates, 3, np.zeros([3, ITEMS], bool))
    assert added.tolist() == [-1, 3, -1]  # an item is no answer for itself
    assert in_list([*ROWS[1], 3], 4, 3, set()) and not in_list(ROWS[1], 4, 3, set())
    assert in_list([*ROWS[0], 6], 6, 3, set())


def test_an_added_event_is_the_newest_and_of_the_kind_before():
    longer = with_event(HISTORIES, np.array([1, 2, 0]), np.array([8, 8, 7]))
    assert [longer.items[longer.row(row)].tolist() for row in range(3)] == [[7, 8], [8], [3, 5, 3, 1, 7]]
    assert [longer.events[longer.row(row)].tolist() for row in range(3)] == [[0, 0], [0], [0, 1, 0, 1, 1]]
    assert len(longer.timestamps) == len(longer.items) == len(longer.values) == len(longer.is_target)
