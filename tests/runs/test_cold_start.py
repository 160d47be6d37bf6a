"""Cold slices: only cold candidates, beside text and chance."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.models.baselines.segment_popularity import segment_counts
from tfrec.runs.cold_start import cold_slices, random_ndcg


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i:02d}", t) for u in range(60) for t, i in enumerate(rng.permutation(30)[:6])]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i:02d}" for i in range(30)]})
    config = RunConfig().with_values(["data.held_out_items=0.5"])
    return prepare(log, items, tmp_path / "d", split="leave-one-out", config=config)


class Knowing:
    """Puts the warm items first, then the target, then the rest."""

    name, num_items = "knowing", 30

    def __init__(self, data):
        queries = data.queries("test", "cold_items")
        self.wanted = dict(zip(queries.user_ids, queries.target_items, strict=True))
        self.warm = data.items["train_count"].to_numpy() > 0

    def scores(self, histories, rows):
        scores = np.tile(2.0 * self.warm, (len(rows), 1)).astype(np.float32)
        for place, row in enumerate(rows):
            scores[place, self.wanted[histories.user_ids[row]]] = 1
        return scores


def test_only_cold_items_are_candidates_beside_text_and_chance(data):
    vectors = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    run = SimpleNamespace(kind="next-item", config=RunConfig(), text_vectors=vectors)
    found = cold_slices(Knowing(data), data, run, "test")["cold_items"]
    queries = data.queries("test", "cold_items")
    assert (found["users"], found["items"]) == (len(queries), 15)
    assert found["ndcg@10"] == 0  # fifteen warm items stand before the target
    assert found["among_cold"] == 1
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cold, gains = np.flatnonzero(data.items["train_count"].to_numpy() == 0), []
    for row, target in enumerate(queries.target_items):
        last = queries.history.items[queries.history.offsets[row + 1] - 1]
        better = (unit[cold] @ unit[last] > unit[target] @ unit[last]).sum()
        gains.append(1 / np.log2(better + 2) if better < 10 else 0)
    assert found["text_among_cold"] == pytest.approx(np.mean(gains), abs=0.01)
    assert found["random_among_cold"] == pytest.approx(sum(1 / np.log2(r + 1) for r in range(1, 11)) / 15)


def test_newcomers_are_asked_for_what_they_are_served(tmp_path):
    """In the north everybody takes i00, in the south i01; i02 is taken most of all."""
    takes = {"north": "i00", "south": "i01"}
    rows, users = [], {}
    for u in range(40):
        users[f"u{u}"] = where = ("north", "south")[u % 2]
        rows += [(f"u{u}", takes[where], u), (f"u{u}", "i02", u), (f"u{u}", f"i{3 + u % 4:02d}", u)]
        rows += [(f"new{u}", takes[where], 100 + u)]
        users[f"new{u}"] = where
    start = 1_700_000_000
    rows = [(user, item, start + 60 * time) for user, item, time in rows]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    people = pl.DataFrame({"user_id": list(users), "country": list(users.values())})
    items = pl.DataFrame({"item_id": [f"i{i:02d}" for i in range(12)]})
    config = RunConfig().with_values(
        ["data.valid_quantile=0.75", "data.test_quantile=0.85", "retrieval.segment=country"]
    )
    data = prepare(log, items, tmp_path / "d", users=people, split="global-time", config=config)
    run = SimpleNamespace(
        kind="next-item",
        config=config,
        item_counts=data.items["train_count"].to_numpy(),
        segments=segment_counts(data, "country"),
    )
    found = cold_slices(None, data, run, "test")["cold_users"]
    assert found["users"] == len(data.queries("test", "cold_users")) > 10
    # by segment the target stands second, behind i02, of everybody second or third
    assert found["by_segment"] == pytest.approx(1 / np.log2(3))
    ties = (1 / np.log2(4), 1 / np.log2(3))
    assert ties[0] <= found["ndcg@10"] < found["by_segment"]
    without = SimpleNamespace(**{**vars(run), "segments": None})
    assert set(cold_slices(None, data, without, "test")["cold_users"]) == {"users", "ndcg@10"}


def test_chance_is_the_mean_over_all_orders():
    rng = np.random.default_rng(2)
    for targets, candidates in ((1, 20), (3, 20), (4, 6), (12, 12)):
        best = sum(1 / np.log2(r + 2) for r in range(min(10, targets)))
        ranks = [rng.permutation(candidates)[:targets] for _ in range(20_000)]
        mean = np.mean([sum(1 / np.log2(r + 2) for r in one if r < 10) / best for one in ranks])
        assert random_ndcg(np.array([targets]), candidates)[0] == pytest.approx(mean, rel=0.03)
