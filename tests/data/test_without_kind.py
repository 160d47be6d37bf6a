"""Impressions and dislikes: what was only shown is in no history, and neither is ever counted as taken."""

import numpy as np
import polars as pl
import pytest

from tfrec.data import check_leakage, prepare
from tfrec.data.without_kind import DatasetWithoutKind

HOUR = 3600


def shop(with_impressions):
    """Twelve people view six items each, an hour apart; before each view two other items are shown."""
    rows = []
    for user in range(12):
        for step in range(6):
            item, time = (user + step) % 8, 1_700_000_000 + HOUR * (100 * step + user)
            shown = [(item + 3) % 8, (item + 5) % 8] if with_impressions else []
            rows += [(f"u{user:02d}", f"i{other}", "impression", time - 60 + other) for other in shown]
            rows.append((f"u{user:02d}", f"i{item}", "view", time))
    return pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")


ITEMS = pl.DataFrame({"item_id": [f"i{i}" for i in range(8)]})


@pytest.mark.parametrize("split", ["leave-one-out", "global-time"])
def test_without_impressions_a_dataset_is_that_of_a_log_without_them(tmp_path, split):
    # With cuts by time the two logs would be cut at other events, were the cuts not between two rounds.
    whole = prepare(shop(True), ITEMS, tmp_path / "whole", split=split, config={"data.valid_quantile": 0.6})
    plain = prepare(shop(False), ITEMS, tmp_path / "plain", split=split, config={"data.valid_quantile": 0.6})
    check_leakage(whole)
    view = DatasetWithoutKind(whole, "impression")
    assert view.event_kinds == whole.event_kinds and "impression" in view.event_kinds
    pairs = [(view.histories(), plain.histories()), (view.training(), plain.training())]
    for part in ("valid", "test"):
        ours, theirs = view.queries(part), plain.queries(part)
        assert ours.user_ids.tolist() == theirs.user_ids.tolist()
        assert ours.target_items.tolist() == theirs.target_items.tolist()
        pairs.append((ours.history, theirs.history))
    for ours, theirs in pairs:
        assert ours.user_ids.tolist() == theirs.user_ids.tolist()
        assert ours.offsets.tolist() == theirs.offsets.tolist() and ours.items.tolist() == theirs.items.tolist()
    assert whole.items["train_count"].to_list() == plain.items["train_count"].to_list()


def test_people_who_were_only_shown_something_have_no_history(tmp_path):
    rows = [("a", "i0", "view", 0), ("a", "i1", "view", 1), ("a", "i2", "view", 2), ("a", "i3", "view", 3)]
    rows += [("b", "i0", "impression", 0), *(("b", f"i{n}", "view", n) for n in (1, 2, 3))]
    rows = [(*row[:3], row[3] + 10) for row in rows]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    data = prepare(log, ITEMS, tmp_path / "d", split="leave-one-out")
    assert data.queries("valid").user_ids.tolist() == ["a", "b"] == data.training().user_ids.tolist()
    view = DatasetWithoutKind(data, "impression")
    assert view.training().user_ids.tolist() == ["a", "b"] and view.training().lengths.tolist() == [2, 1]
    only_shown = [("c", f"i{n}", "impression", n) for n in range(4)]
    shown = pl.DataFrame(only_shown, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    data = prepare(pl.concat([log, shown]), ITEMS, tmp_path / "more", split="leave-one-out")
    view = DatasetWithoutKind(data, "impression")
    assert view.training().user_ids.tolist() == ["a", "b"]
    assert view.histories().lengths.tolist() == [4, 3, 0]


@pytest.mark.slow
def test_dislikes_are_never_counted_as_taken(tmp_path):
    from tfrec.config import RunConfig
    from tfrec.models.baselines.counting import Cooccurrence, Popularity
    from tfrec.models.next_item.build import build_next_item_model

    thumbs = [("a", 0, 1), ("a", 1, -1), ("a", 2, 1), ("b", 0, 1), ("b", 1, -1), ("b", 3, 1), ("c", 1, 1), ("c", 4, 1)]
    rows = [(user, f"i{item}", value, at) for at, (user, item, value) in enumerate(thumbs)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "value", "timestamp"], orient="row")
    split = log.with_columns(event=pl.lit("rating"), split=pl.lit("train"))
    late = [(f"{user}{part}", "i0", 1, 50, "rating", part) for user in "xy" for part in ("valid", "test")]
    held = pl.DataFrame(late, schema=split.schema, orient="row")
    data = prepare(pl.concat([split, held]), ITEMS, tmp_path / "d", split="given")
    assert "dislike" in data.event_kinds
    assert data.items["train_count"].to_list() == [2, 1, 1, 1, 1, 0, 0, 0]
    assert Popularity().fit(data).counts.tolist() == [2, 1, 1, 1, 1, 0, 0, 0]
    settings = ["model.dim=4", "model.heads=2", "model.use_text=false", "model.neighbours=3"]
    memory = build_next_item_model(data, None, RunConfig().with_values(settings)).memory
    near, counts = memory.near.numpy(), memory.counts.numpy()
    pairs = {(i, int(j)): c for i in range(8) for j, c in zip(near[i], counts[i], strict=True) if j >= 0}
    assert pairs == {(0, 2): 1, (2, 0): 1, (0, 3): 1, (3, 0): 1, (1, 4): 1, (4, 1): 1}
    baseline = Cooccurrence().fit(data)
    history = data.training().prefixes(np.array([0]), np.array([1]))  # a has liked i0
    assert np.flatnonzero(baseline.scores(history, np.array([0]))[0]).tolist() == [2, 3]
