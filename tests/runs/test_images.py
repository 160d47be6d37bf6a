"""A catalogue with pictures: what training reads of them, what the run keeps, and what it refuses."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from tests.encoders.images.pictures import encoded, stripes
from tests.unfitted_run import ITEMS
from tfrec.data import prepare
from tfrec.encoders import save_image_encoder
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.next_item import family as next_item
from tfrec.models.next_item.build import build_next_item_model
from tfrec.runs import load_run, train
from tfrec.training.fit_result import FitResult

RED, GREEN, BLUE = (encoded(stripes().crop((0, top, 40, top + 20)), "PNG") for top in (0, 20, 40))
PICTURES = [RED, GREEN, BLUE, RED, None, b"damaged"]


def unfitted(dataset, features, config, *, modalities=(), **_):
    model = build_next_item_model(dataset, features, config, modalities=modalities)
    return FitResult(model, metrics_valid={"ndcg@10": 0.5})


@pytest.fixture(autouse=True)
def unfitted_models(monkeypatch):
    monkeypatch.setattr(next_item, "fit_next_item", unfitted)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % ITEMS}", step) for u in range(5) for step in range(4)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "title": list("abcdef"), "poster": PICTURES})
    return prepare(events, items, tmp_path_factory.mktemp("d") / "data", split="leave-one-out")


def image_encoder(folder, scale=1.0):
    images = keras.Input((4, 4, 3))
    return save_image_encoder(keras.Model(images, keras.layers.Rescaling(scale)(images)), folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return image_encoder(tmp_path_factory.mktemp("encoders") / "means")


@pytest.fixture
def config(small_config, encoder):
    images = [f"encoder.image={encoder}", "encoder.image_column=poster", "model.modality_weight=0.5"]
    return small_config.with_values([*images, "retrieval.segment=null"])


@pytest.mark.slow
def test_a_run_reads_the_pictures_of_its_catalogue(data, config, encoder, tmp_path, capsys):
    run = load_run(train(data, tmp_path / "run", config).path)
    assert "Pictures of 6 items: 4 images, 1 none, 1 damaged, too large or no image" in capsys.readouterr().err
    vectors = np.load(run.path / "weights" / "image_vectors.npy")
    assert_allclose(vectors, 255 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert [each.name for each in run.model.modalities] == ["text", "image"]
    assert_allclose(run.image_encoder().encode([BLUE]), vectors[2:3])
    image_encoder(tmp_path / "other", scale=0.5)
    with pytest.raises(InvalidInput, match="is not the one this run was trained with"):
        run.with_values({"encoder.image": str(tmp_path / "other")}).image_encoder()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder.image_column": "image"}, "encoder.image reads the column 'image', which the items do not have"),
        ({"encoder.image_column": "train_count"}, "received a int"),
        ({"encoder.image": "nothing"}, "Expected an image encoder"),
        ({"model.kind": "behaviour-text"}, "behaviour-text models read no pictures"),
        ({"encoder.trainable": True}, "works with text alone, but the items have .'pictures'."),
        ({"privacy.epsilon": 8.0, "privacy.delta": 1e-3}, "encoder.image does not work with private training"),
    ],
)
def test_what_pictures_do_not_go_with_is_refused(data, config, tmp_path, settings, message):
    with pytest.raises(InvalidInput, match=message):
        train(data, tmp_path / "run", config.with_values(settings))
    assert not (tmp_path / "run").exists()
