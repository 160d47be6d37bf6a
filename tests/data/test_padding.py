import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec.data import Histories, history_batch, read_movielens_100k
from tfrec.errors import InvalidInput


def histories(lengths, clock=True) -> Histories:
    total = sum(lengths)
    return Histories(
        np.array([str(i) for i in range(len(lengths))], object),
        np.cumsum([0, *lengths]),
        np.arange(total, dtype=np.int32) * 3,
        (np.arange(total) % 5).astype(np.int16),
        (np.arange(total) ** 2).astype(np.int64) * 1_000_000,
        np.full(total, np.nan, np.float32),
        np.ones(total, bool),
        clock,
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(1, 5), st.booleans(), st.data())
def test_batches_hold_the_newest_events_padded_on_the_right(lengths, limit, clock, data):
    h = histories(lengths, clock)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=5))
    batch = history_batch(h, np.array(rows, np.int64), limit)
    width = max([1, *(min(lengths[row], limit) for row in rows)])
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "history_items": ((len(rows), width), np.int32),
        "history_events": ((len(rows), width), np.int32),
        "history_gaps": ((len(rows), width), np.float32),
    }
    for i, row in enumerate(rows):
        places = list(range(h.offsets[row], h.offsets[row + 1]))[-limit:]
        gaps = [
            math.log1p((h.timestamps[p] - h.timestamps[p - 1]) / 1e6) if clock and p > h.offsets[row] else 0
            for p in places
        ]
        padding = width - len(places)
        assert batch["history_items"][i].tolist() == [3 * p for p in places] + [-1] * padding
        assert batch["history_events"][i].tolist() == [p % 5 for p in places] + [-1] * padding
        np.testing.assert_allclose(batch["history_gaps"][i], gaps + [0] * padding, rtol=1e-6)


def test_prefixes_keep_the_first_events_of_the_named_rows():
    cut = histories([2, 3, 0]).prefixes(np.array([1, 0, 2]), np.array([2, 0, 0]))
    assert cut.offsets.tolist() == [0, 2, 2, 2]
    assert cut.items.tolist() == [6, 9]
    assert cut.user_ids.tolist() == ["1", "0", "2"]
    assert cut.lengths.tolist() == [2, 0, 0]


def test_movielens_is_read_from_recboles_files(tmp_path):
    (tmp_path / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    )
    (tmp_path / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '1\tToy "Story\t1995\tAnimation Comedy\n'
    )
    events, items = read_movielens_100k(tmp_path)
    assert events.rows() == [("196", "242", "rating", 881250949, 3.0)]
    assert items.rows(named=True) == [
        {"item_id": "1", "title": 'Toy "Story', "year": "1995", "genres": "Animation Comedy"}
    ]
    assert events.schema["timestamp"] == pl.Int64


def test_a_folder_without_movielens_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="ml-100k.inter is missing"):
        read_movielens_100k(tmp_path)
