"""A run as small as it can be, whose model is built and never fitted: for what becomes of its files."""

import polars as pl
import pytest

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.family import NextItemFamily
from tfrec.runs import train
from tfrec.training.fit_result import FitResult

ITEMS = 6


def unfitted(spoil=lambda model: None):
    """A `fit` that builds the model and spoils it."""

    def fit(self, dataset, config, workdir, context):
        model = build_next_item_model(dataset, context.text_vectors, config)
        spoil(model)
        return FitResult(model, metrics_valid={"ndcg@10": 0.5})

    return fit


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % ITEMS}", step) for u in range(5) for step in range(4)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "title": list("abcdef")})
    users = pl.DataFrame({"user_id": [f"u{u}" for u in range(5)], "country": list("xyxyx")})
    return prepare(events, items, tmp_path_factory.mktemp("d") / "data", users=users, split="leave-one-out")


@pytest.fixture(scope="session")
def small_config(tiny_encoder):
    small = ["model.dim=8", "model.heads=1", "model.layers=1", "model.neighbours=2", "retrieval.segment=country"]
    return RunConfig().with_values([*small, f"encoder.name={tiny_encoder}", "tracking.projector=0"])


@pytest.fixture(scope="session")
def small_run(small_data, small_config, tmp_path_factory):
    """The folder of the run. Tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(NextItemFamily, "fit", unfitted())
        return train(small_data, tmp_path_factory.mktemp("r") / "run", small_config).path
