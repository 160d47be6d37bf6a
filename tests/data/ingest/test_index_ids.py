import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec.config import DataConfig
from tfrec.data.ingest.index_ids import index_ids, sort_stable

STEPS = st.sampled_from([1, 7, 1_000, 1_000_000, 2**40])
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5), st.integers(0, 2)), min_size=1, max_size=40)


@settings(deadline=None)
@given(ROWS, STEPS)
def test_rows_are_sorted_by_the_keys_and_ties_keep_their_order(rows, step):
    rows = [(user, time * step, part, place) for place, (user, time, part) in enumerate(rows)]
    frame = pl.DataFrame(rows, ["user", "timestamp", "split", "place"], orient="row")
    assert sort_stable(frame, ["user", "timestamp", "split"]).rows() == sorted(rows)


def test_keys_too_wide_for_one_number_are_sorted_too():
    rows = [(2**62, 5, 0), (3, -(2**62), 1), (3, 2**62, 2), (3, -(2**62), 3), (-(2**62), 7, 4)]
    frame = pl.DataFrame(rows, ["user", "timestamp", "place"], orient="row")
    assert sort_stable(frame, ["user", "timestamp"]).rows() == sorted(rows)


def test_codes_follow_the_vocabulary_and_blank_ids_are_null():
    rows = [("b", "y", " view", 1), (" ", "x", None, 2), (None, "new", "", 3), ("a", None, "nod", 4)]
    typed = pl.DataFrame(rows, ["user_id", "item_id", "event", "timestamp"], orient="row").with_columns(value=None)
    frame, names = index_ids(typed.lazy(), pl.Series("item_id", ["y", "x"]), DataConfig())
    assert names.users.to_list() == ["a", "b"] and names.items.to_list() == ["y", "x", "new"]
    assert frame["user"].to_list() == [1, None, None, 0]
    assert frame["item_id"].to_list() == [0, 1, 2, None]
    assert [names.kinds[code] for code in frame["event"]] == ["view", "interaction", "interaction", "nod"]
