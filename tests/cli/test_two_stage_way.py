"""Two stages in the simulated shop, from prepare to check: train both, evaluate, recommend, export."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import polars as pl  # isort: skip
import pytest
from typer.testing import CliRunner

from tfrec.cli.main import app
from tfrec.data.datasets.simulated_retail_funnel import retail_behaviours
from tfrec.files import read_json


def tfrec_(*arguments):
    found = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.nightly
@pytest.mark.slow
def test_two_stages_from_prepare_to_check(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path / "cache"))
    log, items = retail_behaviours(users=120, products=60, seed=2)
    log.write_parquet(tmp_path / "events.parquet")
    items.write_csv(tmp_path / "items.csv")
    data, one, two = tmp_path / "data", tmp_path / "one", tmp_path / "two"
    small = ["--encoder", tiny_encoder, "--set", "training.learning_rate=0.005", "--set", "evaluation.bootstrap=0"]
    tfrec_("prepare", "--events", tmp_path / "events.parquet", "--items", tmp_path / "items.csv", "--out", data)
    next_item = ["model.dim=16", "model.heads=2", "training.epochs=2", "training.behaviour_weights={purchase: 2}"]
    tfrec_("train", "--data", data, "--out", one, *small, *[x for s in next_item for x in ("--set", s)])
    ranker = ["ranker.dim=16", "model.mlp_units=[16]", "training.epochs=3", "retrieval.candidates=20"]
    tfrec_(
        *("train", "--data", data, "--out", two, "--model", "click-ranker"),
        *small,
        *[x for s in ranker for x in ("--set", s)],
    )
    shown = tfrec_("evaluate", "--run", two, "--data", data, "--report", tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text()
    assert "Behaviours" in page and "log_loss of popularity" in page
    assert "model: purchase" in shown and "popularity" in shown
    heads = read_json(two / "metrics.json")["behaviours"]
    assert list(heads) == ["view", "favourite", "purchase"]
    popularity = read_json(two / "metrics.json")["baselines"]["popularity"]["behaviours"]
    assert all(heads[name]["auc"] > popularity[name]["auc"] for name in heads)
    shown = tfrec_("evaluate", "--run", one, "--data", data, "--ranker", two)
    metrics = read_json(one / "metrics.json")
    assert "two-stage" in shown and 0 < metrics["two_stage"]["ndcg@10"] < 1 and metrics["ndcg@10"] > 0
    assert metrics["two_stage"]["protocol"]["candidates"] == 20
    for name, extra in (("first", []), ("second", ["--ranker", two])):
        tfrec_("recommend", "--run", one, "--data", data, "--out", tmp_path / f"{name}.parquet", "--k", "20", *extra)
    first, second = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("first", "second"))
    keys = ["user_id", "item_id"]
    # the ranker changes the order of the twenty candidates, and not which they are
    assert first.select(keys).sort(keys).equals(second.select(keys).sort(keys))
    assert not first.select(keys).equals(second.select(keys))
    asked = tmp_path / "asked.txt"
    asked.write_text(first["user_id"][0])
    reasons = tmp_path / "reasons.parquet"
    tfrec_("explain", "--run", one, "--data", data, "--ranker", two, "--users", asked, "--k", "5", "--out", reasons)
    found = pl.read_parquet(reasons)
    listed = second.filter(user_id=first["user_id"][0]).head(5)
    assert found["item_id"].equals(listed["item_id"])
    assert {"ranker: purchase", "first stage"} < set(found["parts"].struct.fields)
    shop = tmp_path / "saved" / "shop"
    shop.parent.mkdir()
    tfrec_("export", "--run", one, "--ranker", two, "--out", shop)
    tfrec_("export", "--run", two, "--out", tmp_path / "saved" / "ranker")
    for folder in (shop, tmp_path / "saved" / "ranker"):
        assert "the answers are those of the export" in tfrec_("check", folder / "1")
