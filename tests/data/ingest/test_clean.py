import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.data.ingest import clean

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 90)), min_size=1, max_size=40)


def log(rows) -> pl.DataFrame:
    user, item, seconds = zip(*sorted(rows, key=lambda row: (row[0], row[2])))
    return pl.DataFrame(
        {
            "user": pl.Series(user, dtype=pl.UInt32),
            "item_id": pl.Series(item, dtype=pl.Int32),
            "event": pl.Series([0] * len(user), dtype=pl.Int16),
            "timestamp": [s * 1_000_000 for s in seconds],
            "value": pl.Series([None] * len(user), dtype=pl.Float32),
        }
    )


@settings(deadline=None)
@given(ROWS)
def test_exact_duplicates_are_the_later_of_equal_rows(rows):
    frame, seen, expected = log(rows), set(), []
    for row in frame.rows():
        expected.append(row in seen)
        seen.add(row)
    assert clean.exact_duplicates(frame).tolist() == expected


@settings(deadline=None)
@given(ROWS, st.integers(0, 30))
def test_near_duplicates_follow_the_same_event_closely(rows, seconds):
    frame, last, expected = log(rows), {}, []
    for user, item, _, time, _ in frame.rows():
        expected.append((user, item) in last and time - last[user, item] <= seconds * 1_000_000)
        last[user, item] = time
    assert clean.near_duplicates(frame, seconds).tolist() == expected


@settings(deadline=None)
@given(ROWS, st.integers(1, 8))
@example([(0, 0, 0), (0, 1, 60)], 1)  # sixty seconds apart is not within a minute
def test_users_above_the_rate_in_any_minute_are_dropped(rows, limit):
    frame = log(rows)
    times = {}
    for user, _, _, time, _ in frame.rows():
        times.setdefault(user, []).append(time)
    fast = {u for u, ts in times.items() if any(sum(0 <= t - s < 60_000_000 for t in ts) > limit for s in ts)}
    assert clean.inhuman_rate(frame, limit).tolist() == [user in fast for user in frame["user"]]


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.integers(1, 4))
def test_the_k_core_survives_repeated_removal(rows, users, items):
    frame = log(rows)
    left = dict(enumerate(frame.select("user", "item_id").rows()))
    while True:
        of_user = [u for u, _ in left.values()]
        of_item = [i for _, i in left.values()]
        now = {k: (u, i) for k, (u, i) in left.items() if of_user.count(u) >= users and of_item.count(i) >= items}
        if len(now) == len(left):
            break
        left = now
    assert np.flatnonzero(~clean.outside_core(frame, users, items)).tolist() == sorted(left)


def rated(tmp_path, times, *values):
    events = pl.DataFrame(
        {"user_id": ["u"] * 4, "item_id": ["a", "b", "b", "c"], "event": ["rating"] * 3 + ["view"],
         "value": [1.0, 2.0, 3.0, 9.0], "timestamp": times}
    )  # fmt: skip
    config = RunConfig().with_values(values)
    return prepare(events, pl.DataFrame({"item_id": ["a"]}), tmp_path / "d", split="leave-one-out", config=config)


def test_ratings_are_centred_per_user_and_other_values_left(tmp_path):
    dataset = rated(tmp_path, [1, 2, 3, 4], "data.normalise_ratings=true")
    assert dataset.histories().values.tolist() == [-1.0, 0.0, 1.0, 9.0]


def test_opt_in_rules_are_counted_with_examples(tmp_path):
    start = 1_600_000_000
    dataset = rated(tmp_path, [start, start + 100, start + 105, start + 900], "data.near_duplicate_seconds=10")
    dropped = dataset.report["events"]["dropped"]["near_duplicate"]
    assert dropped["count"] == 1
    assert dropped["examples"][0]["item_id"] == "b" and dropped["examples"][0]["user_id"] == "u"
    assert dataset.histories().items.tolist() == [0, 1, 2]


def test_rules_that_need_a_clock_are_off_without_one(tmp_path):
    dataset = rated(tmp_path, [1, 2, 3, 4], "data.near_duplicate_seconds=10", "data.max_events_per_minute=1")
    assert dataset.report["events"]["kept"] == 4
    assert any("not a clock" in note for note in dataset.report["notes"])
