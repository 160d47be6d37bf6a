import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given as prop
from hypothesis import settings
from hypothesis import strategies as st

from tests.damage import without_checksums
from tfrec.config import RunConfig
from tfrec.data import PreparedDataset, Queries, check_leakage, prepare
from tfrec.data.histories import Histories
from tfrec.data.ingest.splits import global_time, leave_one_out
from tfrec.errors import InvalidInput

START = 1_600_000_000.0  # seconds
USERS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=8), min_size=1, max_size=6
)


def histories(users) -> Histories:
    users = [sorted(events, key=lambda event: event[1]) for events in users]
    flat = [event for events in users for event in events]
    return Histories(
        np.array([f"u{i}" for i in range(len(users))], object),
        np.cumsum([0] + [len(events) for events in users]),
        np.array([item for item, _, _ in flat], np.int32),
        np.zeros(len(flat), np.int16),
        np.array([time for _, time, _ in flat], np.int64),
        np.full(len(flat), np.nan, np.float32),
        np.array([target for _, _, target in flat], bool),
        True,
    )


def as_dict(h, window):
    """user → (history length, warm items, cold items)."""
    result = {int(u): (int(n), [], []) for u, n in zip(window.user, window.history_length)}
    for position, query, cold in zip(window.position, window.query, window.cold):
        result[int(window.user[query])][1 + bool(cold)].append(int(h.items[position]))
    return result


@settings(max_examples=150, deadline=None)
@prop(USERS)
def test_leave_one_out_holds_out_the_last_two_targets(users):
    h = histories(users)
    split = leave_one_out(h)
    valid, test, train = {}, {}, []
    for user, events in enumerate(users):
        events = sorted(events, key=lambda event: event[1])
        places = [i for i, event in enumerate(events) if event[2]]
        if len(places) < 3:
            train.append(len(events))
            continue
        train.append(places[-2])
        valid[user] = (places[-2], [events[places[-2]][0]], [])
        test[user] = (places[-1], [events[places[-1]][0]], [])
    assert split.train_length.tolist() == train
    assert as_dict(h, split.valid) == valid
    assert as_dict(h, split.test) == test


@settings(max_examples=150, deadline=None)
@prop(USERS)
def test_global_time_cuts_everyone_at_the_same_moments(users):
    h = histories(users)
    times = sorted(time for events in users for _, time, _ in events)
    if not times:
        return
    cut = [times[math.ceil(q * (len(times) - 1))] for q in (0.5, 0.75)]

    def window(begin, end):
        found, before = {}, {i for events in users for i, time, _ in events if time < begin}
        for user, events in enumerate(users):
            events = sorted(events, key=lambda event: event[1])
            wanted = list(dict.fromkeys(i for i, time, target in events if target and begin <= time < end))
            history = sum(time < begin for _, time, _ in events)
            if wanted:
                found[user] = (history, [i for i in wanted if i in before], [i for i in wanted if i not in before])
        return found

    if times[0] >= cut[0] or cut[0] == cut[1]:
        with pytest.raises(InvalidInput, match="leaves no"):
            global_time(h, 0.5, 0.75)
        return
    split = global_time(h, 0.5, 0.75)
    assert split.train_length.tolist() == [sum(time < cut[0] for _, time, _ in events) for events in users]
    assert as_dict(h, split.valid) == window(cut[0], cut[1])
    assert as_dict(h, split.test) == window(cut[1], math.inf)


def timed_log():
    rows = [
        ("a", "x", 0), ("a", "y", 1), ("b", "x", 2), ("b", "y", 3), ("a", "x", 4), ("b", "x", 5),
        ("a", "y", 6), ("a", "new", 6.5), ("c", "y", 7),  # validation
        ("b", "new", 8), ("b", "x", 8.5), ("b", "x", 8.7), ("d", "newer", 9), ("d", "y", 9.5),  # test
    ]  # fmt: skip
    users, items, times = zip(*rows)
    return pl.DataFrame({"user_id": users, "item_id": items, "timestamp": [START + t for t in times]})


@pytest.fixture
def by_time(tmp_path):
    config = RunConfig().with_values(["data.valid_quantile=0.46", "data.test_quantile=0.69"])
    return prepare(timed_log(), pl.DataFrame({"item_id": ["x", "y"]}), tmp_path / "d", config=config)


def asked(dataset, split, slice):
    queries: Queries = dataset.queries(split, slice)
    ends = queries.target_offsets
    return {
        user: (
            dataset.item_ids[queries.history.items[queries.history.row(q)]].tolist(),
            dataset.item_ids[queries.target_items[ends[q] : ends[q + 1]]].tolist(),
        )
        for q, user in enumerate(queries.user_ids)
    }


def test_cold_items_and_cold_users_are_separate_queries(by_time):
    assert asked(by_time, "valid", "warm") == {"a": (["x", "y", "x"], ["y"])}
    assert asked(by_time, "valid", "cold_items") == {"a": (["x", "y", "x"], ["new"])}
    assert asked(by_time, "valid", "cold_users") == {"c": ([], ["y"])}
    assert asked(by_time, "test", "warm") == {"b": (["x", "y", "x"], ["new", "x"])}  # new was seen in validation
    assert asked(by_time, "test", "cold_users") == {"d": ([], ["y"])}
    assert by_time.training().user_ids.tolist() == ["a", "b"]
    assert by_time.training() is by_time.training()  # as large as the log: no copy for each who asks
    assert by_time.items["train_count"].to_list() == [4, 2, 0, 0]
    check_leakage(by_time)


def test_a_given_split_is_followed(tmp_path):
    log = timed_log().with_columns(split=pl.Series(["train"] * 6 + ["valid"] * 3 + ["test"] * 5))
    dataset = prepare(log, pl.DataFrame({"item_id": ["x", "y"]}), tmp_path / "d", split="given")
    assert asked(dataset, "valid", "warm") == {"a": (["x", "y", "x"], ["y"])}
    assert asked(dataset, "test", "warm") == {"b": (["x", "y", "x"], ["new", "x"])}
    check_leakage(dataset)


def test_a_given_split_that_goes_back_in_time_is_refused(tmp_path):
    log = timed_log().with_columns(split=pl.Series(["valid"] + ["train"] * 5 + ["valid"] * 3 + ["test"] * 5))
    with pytest.raises(InvalidInput, match="given split leaks: 1 users .* e.g. 'a'"):
        prepare(log, pl.DataFrame({"item_id": ["x"]}), tmp_path / "d", split="given")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["train"] * 13 + ["future"], "found \\['future'\\]"), (["train"] * 9 + ["test"] * 5, "no 'valid' event")],
)
def test_a_malformed_split_column_is_refused(tmp_path, names, message):
    with pytest.raises(InvalidInput, match=message):
        prepare(timed_log().with_columns(split=pl.Series(names)), timed_log(), tmp_path / "d", split="given")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "splits/train",
            pl.col("history_length") + 1,
            "1 users the valid history is shorter than the training history",
        ),
        ("splits/valid", pl.col("history_length") + 1, "a valid target does not lie after its history"),
        ("splits/test", pl.col("history_length") + 1, "does not lie after|passes the time cut"),
        ("items", pl.col("train_count") + 1, "train_count of 4 items"),
    ],
)
def test_leakage_in_the_files_is_detected(by_time, file, change, message):
    without_checksums(by_time.path, "manifest.json")
    path = by_time.path / f"{file}.parquet"
    pl.read_parquet(path).with_columns(change).write_parquet(path)
    with pytest.raises(InvalidInput, match=message):
        check_leakage(PreparedDataset.load(by_time.path))


def test_an_event_exactly_on_the_cut_is_held_out(by_time):
    cut, times = by_time.manifest["cuts"]["valid"], by_time.histories().timestamps
    assert (times == cut).sum() == 1  # a's second y
    assert by_time.training().timestamps.max() < cut
    assert asked(by_time, "valid", "warm") == {"a": (["x", "y", "x"], ["y"])}


@pytest.mark.parametrize(
    ("split", "last", "message"), [("valid", 5, "training passes the time cut"), ("test", 5, "test history passes")]
)
def test_a_history_that_ends_exactly_on_the_cut_leaks(by_time, split, last, message):
    moment = int((START + last) * 1e6)  # of the last event of b's history
    by_time.manifest["cuts"][split] = moment + 1
    check_leakage(by_time)
    by_time.manifest["cuts"][split] = moment
    with pytest.raises(InvalidInput, match=f"for 1 users .*{message}.*'b'"):
        check_leakage(by_time)


def test_queries_refuse_unknown_names(by_time):
    with pytest.raises(InvalidInput, match="Expected split"):
        by_time.queries("train")


@pytest.mark.parametrize("split", ["leave-one-out", "global-time"])
def test_held_out_items_are_never_trained_on_and_are_separate_queries(tmp_path, split):
    rng = np.random.default_rng(3)
    rows = [(f"u{u}", f"i{i}", START + t) for u in range(40) for t, i in enumerate(rng.integers(0, 20, 8) + u)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(80)]})  # the last twenty have no event
    config = RunConfig().with_values(["data.held_out_items=0.25"])
    data = prepare(log, items, tmp_path / "d", split=split, config=config)
    held = data.items["held_out"].to_numpy()
    assert held.sum() == round(0.25 * log["item_id"].n_unique()) and not held[60:].any()
    assert not held[data.training().items].any() and (data.items["train_count"].to_numpy()[held] == 0).all()
    assert (
        data.training().user_ids.tolist()
        == prepare(log, items, tmp_path / "e", split=split).training().user_ids.tolist()
    )
    cold, warm = (data.queries("test", name) for name in ("cold_items", "warm"))
    assert held[cold.target_items].all() if split == "leave-one-out" else held[cold.target_items].any()
    assert len(cold) and not held[warm.target_items].any()
    assert held[warm.history.items].any()  # people have them; only training does not
    check_leakage(data)
    again = prepare(log, items, tmp_path / "f", split=split, config=config)
    assert again.manifest["fingerprint"] == data.manifest["fingerprint"]
