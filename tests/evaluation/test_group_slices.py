"""Slices of users and targets against filters by hand, and the disparity between groups."""

import math

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput, RunConfig, prepare
from tfrec.evaluation import evaluate_ranking
from tfrec.evaluation.beyond_accuracy import flat_ranks
from tfrec.evaluation.group_slices import (
    activity_groups,
    disparity,
    popularity_groups,
    target_kinds,
    target_slices,
    time_groups,
    user_slices,
)


def test_a_user_slice_is_the_mean_over_its_users():
    rng = np.random.default_rng(0)
    groups = rng.choice(["x", "y"], 40).tolist() + [None]
    values = rng.random(41)
    values[3] = np.nan
    frame = pl.DataFrame({"user_id": [str(i) for i in range(41)], "targets": [1] * 41, "ndcg@10": values})
    found = user_slices(frame, groups)
    assert list(found) == ["(none)", "x", "y"]
    for name in ("x", "y"):
        mine = [v for v, g in zip(values, groups) if g == name and not math.isnan(v)]
        assert found[name]["ndcg@10"] == pytest.approx(np.mean(mine))
        assert found[name]["ndcg@10_se"] == pytest.approx(np.std(mine, ddof=1) / math.sqrt(len(mine)))
        assert found[name]["users"] == groups.count(name)
    assert math.isnan(found["(none)"]["ndcg@10_se"])
    with pytest.raises(InvalidInput, match="41"):
        user_slices(frame, ["x"])


def test_target_slices_count_only_their_own_targets():
    ranks, offsets = np.array([1, 12, 3, 2]), np.array([0, 2, 3, 4])
    found = target_slices(ranks, offsets, ["hot", "cold", "cold", "hot"], k=10)
    assert found["hot"] == {
        "users": 2,
        "targets": 2,
        "recall@10": 1,
        "ndcg@10": pytest.approx((1 + 1 / math.log2(3)) / 2),
        "mrr@10": 0.75,
        "hit_rate@10": 1,
    }
    assert found["cold"]["recall@10"] == 0.5 and found["cold"]["users"] == 2


def test_a_target_of_several_groups_counts_in_each():
    found = target_slices(np.array([1, 12, 3]), np.array([0, 2, 3]), ["Drama|War", "War| War", None], k=10)
    assert list(found) == ["(none)", "Drama", "War"]
    assert {name: row["targets"] for name, row in found.items()} == {"(none)": 1, "Drama": 1, "War": 2}
    assert found["War"]["users"] == 1 and found["War"]["recall@10"] == 0.5 and found["Drama"]["recall@10"] == 1


def test_groups_by_activity_and_by_popularity():
    assert activity_groups(np.array([0, 1, 5, 5, 2, 3, 1, 1, 1, 2])).tolist().count("hot") == 2
    assert activity_groups(np.array([0, 0])).tolist() == ["cold", "cold"]
    assert popularity_groups(np.array([0, 9, 1, 1, 1])).tolist() == ["cold", "hot", "warm", "warm", "warm"]


def test_disparity_names_the_groups_and_leaves_out_the_small():
    def row(users, value, error):
        return {"users": users, "m": value, "m_se": error}

    slices = {"a": row(100, 0.4, 0.03), "b": row(100, 0.3, 0.04), "tiny": row(3, 0.9, 0.5)}
    found = disparity(slices, "m")
    assert (found["best"], found["worst"], found["left_out"]) == ("a", "b", ["tiny"])
    assert found["gap"] == pytest.approx(0.1) and found["gap_se"] == pytest.approx(0.05)
    assert found["ratio"] == pytest.approx(0.75)
    assert disparity({"a": row(100, 0.4, 0.03)}, "m")["gap"] is None


def test_each_target_has_the_kind_of_its_first_event_after_the_history(tmp_path):
    rows = [
        ("u", "a", "view", 0),
        ("u", "b", "view", 1),
        ("u", "a", "cart", 2),
        ("u", "c", "purchase", 3),
        ("v", "b", "view", 0),
        ("v", "a", "view", 1),
        ("v", "b", "cart", 2),
    ]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    catalogue = pl.DataFrame({"item_id": ["a", "b", "c"], "title": ["A", "B", "C"]})
    data = prepare(log, catalogue, tmp_path / "data", split="leave-one-out")
    for split, expected in (("test", ["purchase", "cart"]), ("valid", ["cart", "view"])):
        queries = data.queries(split)
        kinds = target_kinds(data.histories(), queries)
        assert [data.event_kinds[kind] for kind in kinds] == expected

    class Fixed:
        name, num_items = "fixed", 3

        def scores(self, histories, rows):
            return np.tile(np.array([0.1, 0.2, 0.3], np.float32), (len(rows), 1))

    queries = data.queries("test")
    ranks, offsets = flat_ranks(evaluate_ranking(Fixed(), queries, num_items=3, bootstrap=0).predictions)
    labels = [data.event_kinds[kind] for kind in target_kinds(data.histories(), queries)]
    found = target_slices(ranks, offsets, labels, k=1)
    assert found["purchase"]["hit_rate@1"] == 1 and found["cart"]["hit_rate@1"] == 0


def test_targets_are_grouped_by_when_they_were_taken(tmp_path):
    """Six people who take one thing each in the window, one after another, and have taken it before; one twice."""
    rows = [(f"u{u}", item, time) for u in range(6) for time, item in ((u, "a"), (10 + u, "b"), (100 + u, "a"))]
    log = pl.DataFrame([*rows, ("u0", "a", 105)], schema=["user_id", "item_id", "timestamp"], orient="row")
    config = RunConfig().with_values(["data.timestamp_unit=s", "data.valid_quantile=0.3", "data.test_quantile=0.65"])
    log = log.with_columns(pl.col("timestamp") + 1_600_000_000)
    data = prepare(log, None, tmp_path / "data", split="global-time", config=config)
    queries = data.queries("test")
    found = dict(zip(queries.user_ids, time_groups(data.histories(), queries)))
    assert found == dict(zip([f"u{u}" for u in range(6)], np.repeat(["1 (first third)", "2", "3 (last third)"], 2)))
