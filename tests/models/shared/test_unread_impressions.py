"""Which histories the families read of a log with impressions."""

import polars as pl
import pytest

import tfrec
from tfrec.models.registry import family_of

EVENTS = [("u", "a", "view", 0), ("u", "b", "impression", 1), ("u", "c", "view", 2), ("u", "d", "view", 3)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    events = pl.DataFrame(EVENTS, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": list("abcd"), "title": ["red", "blue", "green", "grey"]})
    return tfrec.prepare(events, items, tmp_path_factory.mktemp("shown") / "data", split="leave-one-out")


@pytest.mark.parametrize("kind", ["next-item", "behaviour-text"])
@pytest.mark.parametrize(("read", "expected"), [("false", ["a", "c", "d"]), ("true", ["a", "b", "c", "d"])])
def test_what_was_only_shown_is_no_event_of_a_history_unless_asked_for(dataset, kind, read, expected):
    config = tfrec.RunConfig().with_values([f"model.kind={kind}", f"model.read_impressions={read}"])
    seen = family_of(kind).read_by(config, dataset)
    assert dataset.item_ids[seen.histories().items].tolist() == expected
