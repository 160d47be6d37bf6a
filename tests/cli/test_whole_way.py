"""All commands in the order in which they are used, on a small shop with a tiny encoder."""

import json

import numpy as np
import polars as pl
import pytest

from tfrec import PreparedDataset, load_run

ITEMS = 12


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Folder with events.csv and items.csv: people who walk round a circle of items, two steps at a time."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    rows = [
        (
            f"u{user}",
            f"i{(start + 2 * step) % ITEMS}",
            "purchase" if step % 2 else "view",
            1_600_000_000 + 60 * step + user,
        )
        for user, start in enumerate(rng.integers(0, ITEMS, 30))
        for step in range(6)
    ]
    pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row").write_csv(
        folder / "events.csv"
    )
    colours = ["red", "green", "blue"]
    pl.DataFrame(
        {"item_id": [f"i{i}" for i in range(ITEMS)], "title": [f"{colours[i % 3]} shoe {i}" for i in range(ITEMS)]}
    ).write_csv(folder / "items.csv")
    return folder


@pytest.mark.slow
def test_from_raw_files_to_a_checked_export(tfrec, shop, tiny_encoder, monkeypatch):
    monkeypatch.chdir(shop)

    def succeeds(line):
        code, out, err = tfrec(*line.split())
        assert code == 0, err
        return out

    assert "dim: 32" in succeeds(f"encoder info {tiny_encoder}")
    out = succeeds("prepare --events events.csv --items items.csv --out data --split leave-one-out")
    assert "split: leave-one-out" in out and (shop / "data" / "report.html").is_file()

    small = "--set training.epochs=2 --set training.batch_size=16 --set model.dim=8 --set model.heads=2"
    succeeds(f"train --data data --out run --encoder {tiny_encoder} --seed 3 {small} --set export.max_k=5")
    assert not (shop / "run.partial").exists()
    assert load_run("run").config.training.seed == 3

    assert "popularity" in succeeds("evaluate --run run --data data --out metrics.json --report report.html")
    page = (shop / "report.html").read_text()
    assert "Learning curves" in page and "shoe" in page and "http" not in page
    metrics = json.loads((shop / "metrics.json").read_text())
    assert 0 <= metrics["ndcg@10"] <= 1 and metrics["users"] == 30 and metrics["items"] == ITEMS

    assert load_run("run").scorer(PreparedDataset.load("data")).num_items == ITEMS

    (shop / "users.txt").write_text("u3\nu1\n")
    succeeds("recommend --run run --data data --users users.txt --k 4 --out recs.parquet")
    lists = pl.read_parquet(shop / "recs.parquet")
    assert lists["user_id"].unique(maintain_order=True).to_list() == ["u3", "u1"]
    assert lists.filter(pl.col("user_id") == "u3")["rank"].to_list() == [1, 2, 3, 4]
    code, _, err = tfrec("recommend", "--run", "run", "--data", "data", "--users", "users.txt", "--out", "recs.parquet")
    assert code == 2 and "--force" in err

    assert "saved_models/shop/1" in succeeds("export --run run --out saved_models/shop")
    assert (shop / "saved_models" / "shop" / "1" / "saved_model.pb").is_file()
    card = shop / "saved_models" / "shop" / "1" / "assets.extra" / "model_card.md"
    assert card.read_bytes() == (shop / "run" / "model_card.md").read_bytes()
    assert "saved_models/shop/1" in succeeds("check saved_models/shop/1")

    out = succeeds("index build --run run --out saved_models/shop --index int8 --data data")
    assert "recall@10 1.0000" in out and "histories of the data" in out and "saved_models/shop/2" in out
    code, _, err = tfrec("index", "build", "--run", "run", "--out", "saved_models/shop", "--index", "flat")
    assert code == 2 and "export.index" in err and not (shop / "saved_models/shop/3").exists()
    (shop / "more.csv").write_text("item_id,title\ni3,known already\nnew1,red shoe with wings\n")
    out = succeeds("index add --run run --items more.csv --out saved_models/shop")
    assert "1 new items: new1" in out and "saved_models/shop/3" in out
    assert json.loads((shop / "saved_models/shop/3/tfrec.json").read_text())["catalogue"]["items"] == ITEMS + 1
    code, _, err = tfrec("index", "add", "--run", "run", "--items", "items.csv", "--out", "saved_models/shop")
    assert code == 2 and "already" in err

    code, _, err = tfrec("prepare", "--events", "events.csv", "--items", "items.csv", "--out", "data")
    assert code == 2 and "--force" in err
