"""A user's events with their times, and how they are drawn."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.workflows.explore.answers import Card
from tfrec.workflows.explore.html_timeline import SHOWN, timeline
from tfrec.workflows.explore.timeline import PastEvent, events_of


def dataset(clock, times=(1_000_000, 86_400_000_000, 5)):
    items, kinds = np.array([1, 0, 1]), np.array([0, 1, 0])
    histories = Histories(
        np.array(["u", "none", "v"]), np.array([0, 2, 2, 3]), items, kinds, np.array(times), items, items == 1, clock
    )
    return SimpleNamespace(histories=lambda: histories, item_ids=np.array(["a", "b"]), event_kinds=["view", "buy"])


def test_events_have_their_kinds_and_where_there_is_a_clock_their_times():
    first = PastEvent("b", "view", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert events_of(dataset(True), "u") == [first, PastEvent("a", "buy", datetime(1970, 1, 2, tzinfo=UTC))]
    assert events_of(dataset(False), "u") == [PastEvent("b", "view"), PastEvent("a", "buy")]
    assert events_of(dataset(True), "none") == []
    with pytest.raises(InvalidInput, match="no user 'x'"):
        events_of(dataset(True), "x")


def test_a_time_that_no_calendar_has_is_left_out():
    assert events_of(dataset(True, (0, 1, 2**62)), "v") == [PastEvent("b", "view")]


class Explorer:
    """Knows the items "a" and "b"."""

    def __init__(self, *kinds):
        self.run = SimpleNamespace(event_kinds=list(kinds))

    def place(self, item_id):
        return {"a": 0, "b": 1}.get(item_id)

    def card(self, item_id):
        return Card(item_id, f"<{item_id}>", {}, 1, self.place(item_id), None)


def drawn(events, *kinds):
    page = timeline(events, Explorer(*kinds), lambda place: None)
    entries = re.findall(r'<li class="(?:kind-\d|earlier)">.*?</li>', page)
    return [re.sub(r"<[^>]+>", " ", entry.partition('class="name"')[2] or entry).split() for entry in entries], page


def test_the_newest_event_is_drawn_first_with_its_kind_and_date():
    events = [PastEvent("a", "view", datetime(1998, 3, 7)), PastEvent("b", "buy"), PastEvent("gone", "view")]
    found, page = drawn(events, "view", "buy")
    words = [" ".join(entry).removeprefix("> ").removeprefix(">") for entry in found]
    assert words == ["gone (not in this catalogue) view", "&lt;b&gt; buy", "&lt;a&gt; view 07 Mar 1998"]
    assert re.findall(r"kind-(\d)", page) == ["0", "1", "0"] and "<a>" not in page


def test_one_kind_needs_no_name_and_long_histories_are_cut():
    found, page = drawn([PastEvent("a", "view")] * (SHOWN + 5), "view")
    assert len(found) == SHOWN + 1 and " ".join(found[-1]) == "5 earlier events" and ">view<" not in page
