"""Erasure from a prepared dataset: the result is that of preparing the log without the people."""

import json

import numpy as np
import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.erase import erase_users
from tfrec.errors import InvalidInput

DAY = 86_400


def log(seed=0, users=30, items=12):
    """People with a few events, of several kinds; `only` is an item, and `favourite` a kind, that one person has."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{u:02d}", f"i{rng.integers(items)}", str(rng.choice(["view", "cart"])), 1_600_000_000 + int(t) * DAY, "web")
        for u in range(users)
        for t in np.sort(rng.choice(200, rng.integers(3, 9), replace=False))
    ]
    rows.append(("u07", "only", "favourite", 1_600_000_000 + 50 * DAY + 5, "app"))
    return pl.DataFrame(rows, ["user_id", "item_id", "event", "timestamp", "context_from"], orient="row")


ITEMS = pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "title": [f"red {i}" for i in range(10)]})
USERS = pl.DataFrame({"user_id": [f"u{u:02d}" for u in range(30)], "town": ["A", "B"] * 15})


def content(dataset):
    """All that the files hold, but for the report's rows of before and the times of writing."""
    files = {file.relative_to(dataset.path).as_posix(): file for file in dataset.path.rglob("*.parquet")}
    return {name: pl.read_parquet(file) for name, file in files.items()}


@pytest.mark.parametrize("split", ["leave-one-out", "global-time", "given"])
@pytest.mark.parametrize("items", [ITEMS, None], ids=["a catalogue", "items of the log"])
def test_what_is_left_is_what_preparing_without_them_writes(tmp_path, split, items):
    events, people = log(), ["u07", "u11", "stranger"]
    if split == "given":
        place = pl.int_range(pl.len()).over("user_id") - pl.len().over("user_id")
        part = (
            pl.when(place == -1).then(pl.lit("test")).when(place == -2).then(pl.lit("valid")).otherwise(pl.lit("train"))
        )
        events = events.sort("user_id", "timestamp").with_columns(part.alias("split"))
    config = {"data.held_out_items": 0.2}
    whole = prepare(events, items, tmp_path / "whole", users=USERS, split=split, config=config)
    left = events.filter(~pl.col("user_id").is_in(people))
    wanted = prepare(left, items, tmp_path / "wanted", users=USERS, split=split, config=config)
    erased = erase_users(whole, people, tmp_path / "erased")
    assert (erased.users, erased.events, erased.items) == (2, events.height - left.height, 1)
    for name, frame in content(wanted).items():
        assert frame.equals(content(erased.dataset)[name]), name
    assert content(wanted).keys() == content(erased.dataset).keys()
    assert erased.dataset.manifest["fingerprint"] == wanted.manifest["fingerprint"]
    assert erased.dataset.event_kinds == wanted.event_kinds and "favourite" not in wanted.event_kinds
    assert json.dumps(erased.dataset.manifest["counts"]) == json.dumps(wanted.manifest["counts"])
    assert "only" not in erased.dataset.item_ids


def test_examples_of_dropped_rows_are_left_out_of_the_report(tmp_path):
    events = pl.concat([log(), log().head(3).with_columns(item_id=pl.lit(""))])
    whole = prepare(events, ITEMS, tmp_path / "whole")
    assert "u00" in json.dumps(whole.report["events"]["dropped"])
    report = erase_users(whole, ["u00"], tmp_path / "erased").dataset.report
    assert "u00" not in json.dumps(report)
    counts = {reason: problem["count"] for reason, problem in whole.report["events"]["dropped"].items()}
    assert {reason: problem["count"] for reason, problem in report["events"]["dropped"].items()} == counts


def test_a_dataset_of_nobody_is_refused(tmp_path):
    whole = prepare(log(), ITEMS, tmp_path / "whole")
    with pytest.raises(InvalidInput, match="All 30 users .* are to be erased. Delete the folder"):
        erase_users(whole, whole.histories().user_ids, tmp_path / "erased")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_one_request_after_another_ends_where_all_at_once_end(tmp_path):
    people, whole = [f"u{u:02d}" for u in range(0, 30, 4)], prepare(log(), ITEMS, tmp_path / "0", split="leave-one-out")
    dataset = whole
    for number, user in enumerate(people, 1):
        dataset = erase_users(dataset, [user], tmp_path / str(number)).dataset
    together = erase_users(whole, people, tmp_path / "together").dataset
    assert dataset.manifest["fingerprint"] == together.manifest["fingerprint"] != whole.manifest["fingerprint"]
