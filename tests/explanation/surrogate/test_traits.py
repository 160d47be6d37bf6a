"""What users have and what lists hold, by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.explanation.toy import make_histories
from tfrec.explanation.surrogate.traits import Catalogue, Trait, frequent, history_traits, list_traits

ROWS = [[0, 1, 0, 1], [2], [2, 3, 0], [3, 3, 3, 3, 3, 3]]
EVERYONE = np.ones(4, bool)
DAY = 86_400_000_000


@pytest.fixture
def catalogue():
    items = pl.DataFrame({"item_id": list("abcd"), "text": [""] * 4, "genre": ["Drama", "War|Drama", "War", None]})
    return Catalogue.of(items, ["A", "B", "C", "D"])


def columns(traits):
    return {(trait.kind, trait.subject, trait.number): true.astype(int).tolist() for trait, true in traits}


def test_groups_are_the_values_of_the_columns_that_group_items(catalogue):
    assert catalogue.groups == [("genre", "Drama"), ("genre", "War")]
    assert catalogue.member.astype(int).tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]


def test_histories_have_items_groups_an_end_and_a_length(catalogue):
    found = columns(history_traits(make_histories(ROWS), catalogue, EVERYONE))
    assert found["has", "A", 0] == [1, 0, 1, 0] and found["has", "D", 0] == [0, 0, 1, 1]
    assert found["often", "Drama", 50] == [1, 0, 0, 0]  # 100, 0, 33 and 0 percent: the upper quarter is from 50
    assert found["often", "War", 63] == [0, 1, 0, 0]  # 50, 100, 33 and 0
    assert found["newest", "Drama", 0] == [1, 0, 1, 0]
    assert found["shorter", "", 3] == [0, 1, 0, 0] and found["longer", "", 4] == [1, 0, 0, 1]


def test_bounds_and_frequent_items_come_from_the_known_users_alone(catalogue):
    known = np.array([True, True, False, False])
    found = columns(history_traits(make_histories(ROWS), catalogue, known))
    assert {subject for kind, subject, _ in found if kind == "has"} == {"A", "B", "C"}
    assert found["often", "Drama", 75] == [1, 0, 0, 0]


def test_a_group_that_few_have_is_told_by_any_event_on_it(catalogue):
    found = columns(history_traits(make_histories([[0, 2]] + [[3]] * 4), catalogue, np.ones(5, bool)))
    assert found["ever", "War", 0] == [1, 0, 0, 0, 0]


def test_recency_counts_from_the_end_of_the_data_and_needs_a_clock(catalogue):
    histories = make_histories([[0], [1], [2], [3]])
    histories = replace(histories, timestamps=np.array([9, 8, 2, 0]) * DAY)
    found = columns(history_traits(histories, catalogue, EVERYONE))
    assert found["recent", "", 4] == [1, 1, 0, 0] and found["idle", "", 4] == [0, 0, 1, 1]
    without = history_traits(replace(histories, clock=False), catalogue, EVERYONE)
    assert not {"recent", "idle"} & {trait.kind for trait, _ in without}


def test_lists_hold_items_and_groups_and_padding_is_none(catalogue):
    lists = np.array([[0, 1, 2], [3, 2, -1], [2, -1, -1], [-1, -1, -1]])
    found = columns(list_traits(lists, catalogue, EVERYONE))
    assert found["gets", "C", 0] == [1, 1, 1, 0] and found["gets", "A", 0] == [1, 0, 0, 0]
    assert found["first", "Drama", 0] == [1, 0, 0, 0] and found["first", "War", 0] == [0, 0, 1, 0]
    assert found["mostly", "War", 0] == [1, 0, 1, 0]  # one of two is not most


def test_what_nearly_everyone_or_nearly_nobody_has_is_left_out():
    columns = [np.arange(10) < count for count in (1, 2, 8, 9)]
    traits = [(Trait("has", str(number)), true) for number, true in enumerate(columns)]
    kept, true = frequent(traits, np.ones(10, bool), support=2)
    assert [trait.subject for trait in kept] == ["1", "2"] and true.sum(axis=0).tolist() == [2, 8]


def test_names_are_short_and_different():
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "text": [""] * 3})
    names = Catalogue.of(items, ["Tea", "Tea", "word " * 40]).names
    assert names[:2] == ["Tea [a]", "Tea [b]"] and names[2].endswith("word…") and len(names[2]) <= 80
