"""Memorised single sequences: found where a run knows them, and not where texts or everybody's lists explain them."""

import numpy as np
import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.workflows.memorised import memorised_sequences, rare_events

ITEMS = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """20 people with two items that all have, and from the third event on one of their own."""
    rows = [
        (f"u{u:02d}", item, step)
        for u in range(20)
        for step, item in enumerate(["i0", "i1", f"i{2 + u}", f"i{2 + u}", "i1", "i0"])
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "title": [f"red {i}" for i in range(ITEMS)]})
    return prepare(events, items, tmp_path_factory.mktemp("d") / "data", split="leave-one-out")


class Constant:
    """The same scores after every history."""

    def __init__(self, best):
        self.best = best

    def scores(self, histories, rows):
        scores = np.tile(-np.arange(ITEMS, dtype=np.float32), (len(rows), 1))
        scores[:, self.best] += 1000
        return scores


class ByHeart(Constant):
    """Puts the own item of the person first."""

    def scores(self, histories, rows):
        scores = super().scores(histories, rows)
        scores[np.arange(len(rows)), [2 + int(name[1:]) for name in histories.user_ids[rows]]] = 2000
        return scores


def asked(scorer, data, vectors=None):
    return memorised_sequences(scorer, data, vectors, np.random.default_rng(0))


def test_rare_events_are_the_first_ones_with_an_item_of_one_person_alone(data):
    rows, places = rare_events(data.training(), data.num_items)
    assert rows.tolist() == list(range(20)) and places.tolist() == [2] * 20


def test_what_a_run_has_by_heart_is_found(data):
    found = asked(ByHeart(range(40, 50)), data)
    assert (found["sequences"], found["listed"], found["after_others"]) == (20, 1.0, 0.0)
    assert found["memorised"]["share"] == 1.0 and 0.8 < found["memorised"]["low"] < 1.0 == found["memorised"]["high"]


def test_what_everybody_is_shown_or_the_text_gives_away_is_not_held_against_it(data):
    shown = asked(Constant(range(2, 10)), data)  # with i0 and i1 ten of the rare items and others
    assert shown["listed"] == shown["after_others"] == 8 / 20 and shown["memorised"]["share"] == 0.0
    vectors = np.eye(ITEMS, 8, dtype=np.float32)
    vectors[1], vectors[2:11] = [1] * 8, [1] * 8  # the nine after i1, which is the event before
    known = asked(ByHeart(range(40, 50)), data, vectors)
    assert known["by_text"] == 9 / 20 and known["memorised"]["share"] == 11 / 20


def test_where_nobody_has_an_item_alone_there_is_nothing_to_ask(tmp_path):
    rows = [(f"u{u}", f"i{step}", step) for u in range(4) for step in range(5)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    assert asked(Constant([0]), prepare(events, None, tmp_path / "data", split="leave-one-out"))["sequences"] == 0
