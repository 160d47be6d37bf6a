"""Equal times: their order comes from what the events are."""

import hashlib

import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.readers import READERS

ITEMS = pl.DataFrame({"item_id": [f"i{n}" for n in range(6)], "title": ["Lamp"] * 6})


def log_of(users=40, items=4):
    rows = [(f"u{u}", f"i{i}", "view", 1_700_000_000 + (i // 2)) for u in range(users) for i in range(items)]
    return pl.DataFrame(rows, ["user_id", "item_id", "event", "timestamp"], orient="row")


def sequences(dataset):
    h = dataset.histories()
    events = [(str(dataset.item_ids[i]), dataset.event_kinds[e]) for i, e in zip(h.items, h.events)]
    return {user: events[h.row(n)] for n, user in enumerate(h.user_ids)}


def mixed(number):
    """splitmix64's finaliser in Python's own integers."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB % 2**64
    return number ^ (number >> 31)


def drawn(user, item):
    hashes = [hashlib.blake2b(f"tfrec\0{x}".encode(), digest_size=8).digest() for x in (user, item)]
    return mixed(sum(int.from_bytes(h, "little") for h in hashes) % 2**64)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_file_and_of_the_catalogue_does_not_decide(tmp_path, seed):
    prepared = prepare(log_of(), ITEMS, tmp_path / "a", split="leave-one-out")
    log, items = log_of().sample(fraction=1, shuffle=True, seed=seed), ITEMS.sample(fraction=1, shuffle=True, seed=seed)
    assert sequences(prepare(log, items, tmp_path / "b", split="leave-one-out")) == sequences(prepared)


def test_items_are_in_the_order_that_is_drawn_for_each_user(tmp_path):
    found = sequences(prepare(log_of(), ITEMS, tmp_path / "d", split="leave-one-out"))
    for user, events in found.items():
        items = [item for item, _ in events]
        assert items[:2] == sorted(["i0", "i1"], key=lambda item: drawn(user, item))
        assert items[2:] == sorted(["i2", "i3"], key=lambda item: drawn(user, item))
    last = [events[-1][0] for events in found.values()]
    assert 10 < last.count("i3") < 30  # about half of the forty


def test_at_one_time_what_was_shown_comes_first_and_kinds_of_one_item_in_their_order(tmp_path):
    kinds = ["purchase", "impression", "cart", "view"]
    log = pl.DataFrame({"user_id": "u", "item_id": "i1", "event": kinds, "timestamp": 1_700_000_000})
    other = log.with_columns(item_id=pl.lit("i2"))
    found = sequences(prepare(pl.concat([log, other]), ITEMS, tmp_path / "d", split="leave-one-out"))["u"]
    assert [kind for _, kind in found[:2]] == ["impression", "impression"]
    for item in ("i1", "i2"):
        assert [kind for i, kind in found if i == item] == ["impression", "view", "cart", "purchase"]


def test_what_was_shown_at_the_time_of_a_click_is_no_tie_of_targets(tmp_path, capsys):
    rows = [("u", f"i{i}", kind, 1_700_000_000 + 60 * i) for i in range(4) for kind in ("click", "impression")]
    log = pl.DataFrame(rows, ["user_id", "item_id", "event", "timestamp"], orient="row")
    prepare(log, ITEMS, tmp_path / "clicks", split="leave-one-out")
    assert "tie in time" not in capsys.readouterr().err
    prepare(
        log.with_columns(event=pl.lit("click"), timestamp=pl.lit(1)), ITEMS, tmp_path / "tied", split="leave-one-out"
    )
    assert "100% of the users a tie in time" in capsys.readouterr().err


def test_the_order_of_the_file_decides_where_it_is_asked_to(tmp_path):
    log = log_of().reverse()
    found = sequences(prepare(log, ITEMS, tmp_path / "d", split="leave-one-out", config={"data.ties": "file"}))
    assert all([item for item, _ in events] == ["i1", "i0", "i3", "i2"] for events in found.values())
    assert READERS["otto"].options["ties"] == "file"
