"""Kinds of events: their names, how many there may be, and what many cost."""

import time

import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.ingest.event_kinds import MAX_KINDS, kinds_of, spelt_otherwise
from tfrec.errors import InvalidInput


def prepared(kinds, out, **options):
    rows = pl.DataFrame({"user_id": "u", "item_id": "i", "event": kinds, "timestamp": range(len(kinds))})
    return prepare(rows, None, out, split="leave-one-out", config=options)


def test_as_many_kinds_as_are_allowed_keep_their_names(tmp_path):
    kinds = [f"kind {n:04}" for n in range(MAX_KINDS)]
    data = prepared(kinds, tmp_path / "data")
    assert data.event_kinds == kinds and data.histories().events.tolist() == list(range(MAX_KINDS))


def test_more_kinds_are_refused_with_the_column_to_look_at(tmp_path):
    with pytest.raises(InvalidInput, match=r"at most 1,000 kinds of events; found 1,001, such as .*data.event_map"):
        prepared([f"kind {n:04}" for n in range(MAX_KINDS + 1)], tmp_path / "data")
    assert not list(tmp_path.iterdir())


def test_the_first_of_two_spellings_in_the_event_map_counts():
    assert kinds_of([" Buy ", "VISIT", "visit now"], {"BUY": "order", "buy": "view", "Visit": "click"}) == [
        "order", "click", "visit now",
    ]  # fmt: skip
    assert spelt_otherwise(["pv", "view", "hum"], {}) == {"pv": "view"}


def test_names_take_time_in_proportion_to_their_number():
    def seconds(number):
        texts = [f"kind {n}" for n in range(number)]
        start = time.process_time()
        kinds_of(texts, {text: text.upper() for text in texts})
        return time.process_time() - start

    seconds(1000)  # warm
    assert seconds(32_000) < 5 * 16 * max(seconds(2000), 1e-3)  # 16 times as many; every pair would be 256 times
