"""Groups of targets by the steps of training, against a walk over dictionaries."""

from itertools import pairwise

import numpy as np
import pytest

from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import transition_groups as module
from tfrec.evaluation.transition_groups import transition_groups

ITEMS = 12


def histories(rows):
    items = np.array([item for row in rows for item in row], np.int32)
    zeros = np.zeros(len(items), np.int64)
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return Histories(np.arange(len(rows)), offsets, items, zeros, zeros, zeros, zeros == 0)


def group_by_walk(steps, newest, target):
    reached = steps.get(newest, set())
    if target in reached:
        return "one hop"
    return "two hops" if any(target in steps.get(middle, set()) for middle in reached) else "never"


@pytest.fixture
def log():
    rng = np.random.default_rng(3)
    training = [rng.integers(0, ITEMS, length).tolist() for length in (5, 0, 1, 9, 6, 4)]
    contexts = [rng.integers(0, ITEMS, length).tolist() for length in (1, 4, 2, 1, 3, 7)]
    targets = [rng.choice(ITEMS, count, replace=False).tolist() for count in (9, 1, 9, 3, 9, 9)]
    flat = np.array([item for row in targets for item in row], np.int32)
    queries = Queries(histories(contexts), np.cumsum([0, *map(len, targets)]), flat)
    return training, contexts, targets, queries


@pytest.mark.parametrize("at_once", [1, 1024])
def test_groups_are_those_of_a_walk_over_the_training_steps(log, at_once, monkeypatch):
    training, contexts, targets, queries = log
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", at_once)
    steps = {}
    for row in training:
        for before, after in pairwise(row):
            steps.setdefault(before, set()).add(after)
    expected = [
        group_by_walk(steps, context[-1], t) for context, row in zip(contexts, targets, strict=True) for t in row
    ]
    assert set(expected) == {"one hop", "two hops", "never"}
    assert transition_groups(histories(training), queries, ITEMS).tolist() == expected


def test_events_that_do_not_count_are_neither_steps_nor_the_newest_item():
    training, context = histories([[0, 7, 1]]), histories([[0, 5], [5]])
    queries = Queries(context, np.array([0, 2, 3]), np.array([1, 7, 1]))
    counted, read = training.items != 7, context.items != 5
    assert transition_groups(training, queries, 9, counted, read).tolist() == ["one hop", "never", "never"]
    assert transition_groups(training, queries, 9).tolist() == ["never"] * 3


def test_nothing_is_known_without_training_or_targets():
    empty = histories([[]])
    queries = Queries(histories([[3]]), np.array([0, 1]), np.array([2]))
    assert transition_groups(empty, queries, 9).tolist() == ["never"]
    none = Queries(empty, np.array([0, 0]), np.array([], np.int32))
    assert transition_groups(empty, none, 9).tolist() == []
