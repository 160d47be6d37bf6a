"""Logs and catalogues at their edges, from `prepare` to the figures: what says little is fitted, what says nothing is
refused."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.runs import evaluate, train

KINDS = {"user_id": str, "item_id": str, "event": str, "timestamp": int}


def log(users=12, steps=6, items=8, event="view", last="view", at=lambda step: step):
    """Users who walk round a ring of items."""
    rows = [
        (f"u{u}", f"i{(u + step) % items}", last if step == steps - 1 else event, at(step))
        for u in range(users)
        for step in range(steps)
    ]
    return pl.DataFrame(rows, KINDS, orient="row")


def catalogue(items=8, title="thing {}"):
    titles = [None if title is None else title.format(i) for i in range(items)]
    return pl.DataFrame({"item_id": [f"i{i}" for i in range(items)], "title": titles}, {"item_id": str, "title": str})


def one_who_never_stops():
    items = np.random.default_rng(0).integers(0, 8, 100_000)
    whole = {"item_id": [f"i{i}" for i in items], "timestamp": np.arange(100_000)}
    return pl.concat([log(), pl.DataFrame({**whole, "user_id": "long", "event": "view"}).select(list(KINDS))])


CASES = {
    "texts that are all the same": (log(), catalogue(title="the same")),
    "no text": (log(), catalogue(title=None)),
    "one item": (log(items=1), catalogue(items=1)),
    "two items": (log(items=2), catalogue(items=2)),
    "one time for all": (log(at=lambda step: 1_600_000_000), catalogue()),
    "a kind that training never sees": (log(last="purchase"), catalogue()),
    "a history of a hundred thousand": (one_who_never_stops(), catalogue()),
    "items of which most are never taken": (log(), catalogue(items=60)),
}

NIGHTLY = ("texts that are all the same", "two items", "one time for all", "items of which most are never taken")
"""Cases whose code another case of the default run reaches too."""


@pytest.fixture
def config(tiny_encoder):
    small = ["model.dim=16", "model.heads=2", "training.epochs=2", "evaluation.bootstrap=5", "training.batch_size=256"]
    return RunConfig().with_values([*small, f"encoder.name={tiny_encoder}"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly) if name in NIGHTLY else name for name in CASES]
)
def test_a_log_that_says_little_is_fitted_and_measured(name, config, tmp_path):
    events, items = CASES[name]
    dataset = prepare(events, items, tmp_path / "data", split="leave-one-out")
    run = train(dataset, tmp_path / "run", config)
    metrics = evaluate(run, dataset)
    assert metrics["users"] == events["user_id"].n_unique() and 0 <= metrics["ndcg@10"] <= 1
    assert all(np.isfinite(weight.numpy()).all() for weight in run.model.weights)
    found = pl.read_parquet(run.path / "predictions.parquet")
    assert found["items"].list.len().max() == min(items.height, 100)
    assert found.select(pl.col("scores").list.eval(pl.element().is_finite()).list.all()).to_series().all()


@pytest.mark.slow
def test_users_of_one_event_give_nothing_to_learn_from(config, tmp_path):
    dataset = prepare(log(steps=1), catalogue(), tmp_path / "data", split="leave-one-out")
    with pytest.raises(InvalidInput, match="No user has two training events"):
        train(dataset, tmp_path / "run", config)
    assert not (tmp_path / "run").exists() and not (tmp_path / "run.partial").exists()
