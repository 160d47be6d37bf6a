"""What groups of events do, against the model asked again without them."""

import numpy as np
import pytest

import tfrec
from tests.explanation.toy import ROWS, make_histories, make_run
from tfrec.explanation import explain_groups

DATA = make_histories(ROWS)


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_all_events_on_an_item_are_deleted_together(run):
    found = explain_groups(run, DATA, "i8", by="item", users=["u0", "u2"])
    assert sorted(map(tuple, found["item_ids"].to_list())) == [("i1",), ("i3", "i3"), ("i5",)]
    assert found["effect"].to_list() == sorted(found["effect"].to_list(), reverse=True)

    def score(left):
        kinds = DATA.events[DATA.row(0)].astype(np.int32)
        inputs = {
            "history_items": np.array([[ROWS[0][at] for at in left]], np.int32),
            "history_events": kinds[None, left],
        }
        return run.model.scores({**inputs, "history_gaps": np.zeros([1, len(left)], np.float32)}).numpy()[0, 8]

    twice = found.filter(found["item_ids"].list.len() == 2).row(0, named=True)
    assert twice["effect"] == pytest.approx(score([0, 1, 2, 3]) - score([1, 3]), abs=1e-4)
    assert twice["newest_age"] == 2 and set(found["user_id"]) == {"u0"}  # u2 has no events


def test_sessions_are_told_by_their_newest_event(run):
    data = make_histories(ROWS)
    data.timestamps[DATA.row(0)] = np.array([0, 1, 100, 101]) * 60_000_000
    found = explain_groups(run, data, "i8", users=["u0"]).sort("newest_age")
    assert found["item_ids"].to_list() == [["i3", "i1"], ["i3", "i5"]] and found["newest_age"].to_list() == [1, 3]


def test_bad_input_is_said(run):
    with pytest.raises(tfrec.InvalidInput, match="not in the catalogue"):
        explain_groups(run, DATA, "what")
    with pytest.raises(tfrec.InvalidInput, match="not in the data"):
        explain_groups(run, DATA, "i1", users=["who"])
