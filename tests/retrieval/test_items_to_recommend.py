"""Items that are gone from the catalogue: marked by `prepare`, read in histories, in no list and no target."""

import tfrec

from types import SimpleNamespace  # isort: skip

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.files import write_json
from tfrec.retrieval.items_to_recommend import among, items_to_recommend

IDS = [f"i{i:02d}" for i in range(12)]
GONE = ["i01", "i05", "i10"]


class ById:
    """Scores each item by its number: the last comes first."""

    name, num_items = "by id", 12

    def __init__(self, item_ids):
        self.numbers = np.array([int(item[1:]) for item in item_ids], np.float32)

    def scores(self, histories, rows):
        return np.tile(self.numbers, (len(rows), 1))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Data whose catalogue lost three items, and the folder of a run on it, whose model is `ById`."""
    rows = [(f"u{user}", IDS[(user + step) % 12], step) for user in range(12) for step in range(5)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [item for item in IDS if item not in GONE]})
    data = tfrec.prepare(events, items, tmp_path / "data", split="leave-one-out")
    return data, run_on(data, tmp_path / "run", monkeypatch)


def run_on(data, folder, monkeypatch):
    """A next-item run whose model is `ById`."""
    folder.mkdir()
    RunConfig().with_values(["model.use_text=false", "retrieval.exclude_seen=false"]).save(folder / "config.yaml")
    write_json(folder / "manifest.json", {"event_kinds": data.event_kinds, "encoder_hash": None})
    data.items.write_parquet(folder / "items.parquet")
    family = SimpleNamespace(scorer=lambda run: ById(run.item_ids))
    monkeypatch.setattr("tfrec.runs.run.family_of", lambda kind: family)
    return tfrec.load_run(folder)


def lists(run, data, k):
    found = tfrec.recommend(run, data, k).group_by("user_id", maintain_order=True).agg("item_id")
    return found["item_id"].to_list()


def test_lists_hold_the_catalogue_alone_unless_asked_for(shop):
    data, run = shop
    best = sorted(set(IDS) - set(GONE), reverse=True)
    assert lists(run, data, 12) == [best] * 12
    asked_for = run.with_values(["retrieval.only_catalogue=false"])
    assert lists(asked_for, data, 12) == [sorted(IDS, reverse=True)] * 12


def test_an_evaluation_lists_the_catalogue_alone_and_counts_the_targets_that_are_gone(shop):
    data, run = shop
    metrics = tfrec.evaluate(run, data)
    targets = [IDS[(user + 4) % 12] for user in range(12)]
    order = [item for item in sorted(IDS, reverse=True) if item not in GONE]
    here = [item for item in targets if item not in GONE]
    assert (metrics["users"], metrics["protocol"]["targets_not_in_catalogue"]) == (9, 3)
    assert metrics["mrr@10"] == pytest.approx(np.mean([1 / (order.index(item) + 1) for item in here]))
    listed = pl.read_parquet(run.path / "predictions.parquet")["items"].explode().unique()
    assert sorted(data.item_ids[listed.to_numpy()]) == sorted(order)
    assert metrics["coverage@10"] == metrics["beyond"]["coverage@10"] == 1.0  # of the items that lists may hold
    everything = tfrec.evaluate(run.with_values(["retrieval.only_catalogue=false"]), data)
    assert everything["users"] == 12 and "targets_not_in_catalogue" not in everything["protocol"]
    assert everything["mrr@10"] == pytest.approx(np.mean([1 / rank if rank <= 10 else 0 for rank in range(1, 13)]))
    assert everything["baselines"]["popularity"]["recall@50"] == 1 == metrics["baselines"]["popularity"]["recall@50"]


def test_what_was_only_shown_is_recommended_unless_impressions_are_read(tmp_path, monkeypatch):
    rows = [("u", item, "view", at) for at, item in enumerate(IDS[:4])]
    rows += [("u", "i10", "impression", 1), ("u", "i11", "impression", 2)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    data = tfrec.prepare(events, pl.DataFrame({"item_id": IDS}), tmp_path / "data", split="leave-one-out")
    run = run_on(data, tmp_path / "run", monkeypatch).with_values(["retrieval.exclude_seen=true"])
    assert lists(run, data, 3) == [["i11", "i10", "i09"]]
    run.config = run.config.with_values(["model.read_impressions=true"])
    assert lists(run, data, 3) == [["i09", "i08", "i07"]]


def test_without_a_mark_every_item_may_be_recommended():
    assert items_to_recommend(RunConfig(), pl.DataFrame({"item_id": ["a", "b"]})) is None
    added = pl.DataFrame({"item_id": ["a", "b", "new"], "in_catalogue": [True, False, None]})
    assert items_to_recommend(RunConfig(), added).tolist() == [True, False, True]
    scorer = ById(IDS)
    assert among(scorer, None) is scorer
