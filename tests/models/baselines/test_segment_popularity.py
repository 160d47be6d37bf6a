"""Popularity by a column of the users, against loops over the events."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec.data import prepare
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.models.baselines.segment_popularity import SegmentPopularity, segment_counts, segments_of

EVENTS = [  # the last two of each user are not in training
    ("ann", "xyxzz"), ("bob", "yyxzz"), ("cem", "zzzxx"), ("dan", "wwwxx"), ("eve", "ww"),
]  # fmt: skip
WHERE = {"ann": "north", "bob": "north", "cem": "south", "dan": None, "fay": "north", "gil": ""}


@pytest.fixture
def dataset(tmp_path):
    rows = [(user, item, time) for user, items in EVENTS for time, item in enumerate(items)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    users = pl.DataFrame({"user_id": list(WHERE), "country": list(WHERE.values())})
    items = pl.DataFrame({"item_id": list("wxyz")})
    return prepare(events, items, tmp_path / "d", users=users, split="leave-one-out")


def counted(dataset):
    """(segment, item) → training events, the slow way."""
    found = {}
    for user, items in EVENTS:
        for item in items[:-2] if len(items) > 2 else items:
            if WHERE.get(user):
                found[WHERE[user], item] = found.get((WHERE[user], item), 0) + 1
    return found


def test_events_are_counted_by_the_users_of_a_segment(dataset):
    frame = segment_counts(dataset, "country")
    found = {(segment, str(dataset.item_ids[item])): count for segment, item, count in frame.iter_rows()}
    assert found == counted(dataset) == {("north", "x"): 3, ("north", "y"): 3, ("south", "z"): 3}


def test_a_user_without_a_value_is_in_no_segment_and_who_is_not_in_the_log_is_not_known(dataset):
    assert segments_of(dataset, "country") == {"ann": "north", "bob": "north", "cem": "south"}


def of_users(*users):
    none = np.zeros(0)
    offsets = np.zeros(len(users) + 1, np.int64)
    return Histories(np.array(users, object), offsets, none.astype(np.int32), none, none, none, none.astype(bool))


def test_newcomers_get_the_order_of_their_segment_and_others_that_of_everybody(dataset):
    overall = dataset.items["train_count"].to_numpy()
    scorer = SegmentPopularity(segment_counts(dataset, "country"), overall, {"fay": "north", "gil": "east"})
    scores = scorer.scores(of_users("fay", "nobody", "fay", "gil"), np.array([1, 2, 3, 0]))
    ids = dataset.item_ids
    order = [ids[np.argsort(-row, kind="stable")].tolist() for row in scores]
    # north: x and y three times each, of everybody y and x as well; then w (5 of everybody) before z (3)
    assert order[1] == order[3] == ["x", "y", "w", "z"]
    assert order[0] == order[2] == ["w", "x", "y", "z"]
    assert scores[0].tolist() == overall.tolist()
    assert scorer.scores(of_users(), np.zeros(0, np.int64)).shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=40),
    st.integers(1, 8),
    st.none() | st.sets(st.integers(0, 5), min_size=1),
)
def test_lists_are_by_the_segment_then_everybody_then_the_catalogue(events, most, allowed):
    frame = pl.DataFrame(events, schema={"segment": pl.String, "item": pl.UInt32}, orient="row")
    frame = frame.group_by("segment", "item").len("count")
    overall = np.bincount([item for _, item in events], minlength=6)
    allow = None if allowed is None else np.isin(np.arange(6), list(allowed))
    lists = SegmentPopularity(frame, overall, {}).lists(most, allow)
    assert lists.segments == sorted({segment for segment, _ in events})
    for segment, items in zip([*lists.segments, None], lists.items.tolist(), strict=True):
        here = [events.count((segment, item)) if segment else 0 for item in range(6)]
        assert items == sorted(allowed or range(6), key=lambda item: (-here[item], -overall[item], item))[:most]


@pytest.mark.parametrize("column", ["town", "user_id"])
def test_a_column_that_users_lack_is_refused_by_name(dataset, column):
    with pytest.raises(InvalidInput, match=f"{column}.*country.*--users"):
        segments_of(dataset, column)


def test_without_users_the_file_is_asked_for(dataset, tmp_path):
    log = pl.DataFrame({"user_id": ["a"] * 3, "item_id": list("xyz"), "timestamp": [0, 1, 2]})
    bare = prepare(log, pl.DataFrame({"item_id": list("xyz")}), tmp_path / "bare", split="leave-one-out")
    with pytest.raises(InvalidInput, match="no users were given.*--users FILE"):
        segments_of(bare, "country")
