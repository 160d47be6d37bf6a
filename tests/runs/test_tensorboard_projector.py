"""What TensorBoard is given: read back by TensorBoard's own projector plugin and event reader."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest
from numpy.testing import assert_allclose
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.encoders import load_encoder
from tfrec.models import BehaviourTextModel, ClickRanker
from tfrec.models.behaviour_text.family import BehaviourTextFamily
from tfrec.models.click_ranker.family import ClickRankerFamily
from tfrec.retrieval.unit_vectors import unit_vectors
from tfrec.runs import train
from tfrec.runs.tensorboard_projector import write_projector


def seen(folder):
    """Vectors and labels as TensorBoard serves them: float32 `[items, dim]` and a list of dicts."""
    events = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    plugin = projector_plugin.ProjectorPlugin(base_plugin.TBContext(logdir=str(folder), data_provider=provider))

    def get(route, **query):
        answer = Client(plugin.get_plugin_apps()[route], Response).get(query_string=query)
        assert answer.status_code == 200, answer.text
        return answer

    (run,) = get("/runs").json
    (embedding,) = get("/info", run=run).json["embeddings"]
    labels = get("/metadata", run=run, name=embedding["tensorName"]).text.splitlines()
    names, *rows = [line.split("\t") for line in labels]
    vectors = np.frombuffer(get("/tensor", run=run, name=embedding["tensorName"]).data, np.float32)
    return vectors.reshape(len(rows), -1), [dict(zip(names, row, strict=True)) for row in rows]


def catalogue(**columns):
    counts = pl.Series([3, 0, 9, 3], dtype=pl.UInt32)  # as prepare writes them
    ids = ["a", "b", "c", "d"]
    return pl.DataFrame({"item_id": ids, "text": ["red tea", "", "lamp", "chair"], "train_count": counts, **columns})


def test_the_most_frequent_items_are_shown_with_their_titles(tmp_path):
    vectors = np.eye(4, dtype=np.float32)[:, :3] + 0.25
    items = catalogue(
        title=['Tea\t"red"\nor green', None, "Lamp", "椅子"],
        genre=["x", "y", "x", None],
        image_embedding=[[1.0], [2.0], [3.0], [4.0]],
        image=[b"GIF89a", b"GIF87a", None, b"GIF89a"],
    )
    write_projector(tmp_path / "logs", vectors, items, most=3)
    shown, labels = seen(tmp_path / "logs")
    assert_allclose(shown, unit_vectors(vectors[[2, 0, 3]]), atol=5e-5)
    assert [label["title"] for label in labels] == ["Lamp", 'Tea "red" or green', "椅子"]
    assert labels[1] == {
        "title": 'Tea "red" or green', "item_id": "a", "training_events": "3", "genre": "x"
    }  # fmt: skip


def test_without_a_title_the_text_names_an_item_and_without_a_text_its_id(tmp_path):
    write_projector(tmp_path, np.ones((4, 2), np.float32), catalogue(sku=list("wxyz")), most=10)
    shown, labels = seen(tmp_path)
    assert [label["title"] for label in labels] == ["lamp", "red tea", "chair", "b"]
    assert shown.shape == (4, 2)


@pytest.mark.parametrize("vectors, most", [(np.ones((4, 2), np.float32), 0), (np.ones((0, 2), np.float32), 5)])
def test_nothing_to_show_writes_nothing(tmp_path, vectors, most):
    write_projector(tmp_path / "logs", vectors, catalogue()[: len(vectors)], most)
    assert not (tmp_path / "logs").exists()


def test_the_vectors_are_those_that_items_are_told_apart_by():
    model = ClickRanker(3, 1, ["view"], dim=2, max_history=2, mlp_units=[4])
    model.items.ids.assign([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    assert_allclose(unit_vectors(ClickRankerFamily().item_vectors(model)), [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-6)


@pytest.mark.slow
def test_the_classes_of_the_softmax_head_are_its_items_and_the_sigmoid_head_has_none(tiny_encoder):
    encoder = load_encoder(tiny_encoder)
    softmax = BehaviourTextModel(encoder, "softmax", ["red tea", "lamp", "chair"], tokens=16)
    classes = softmax.mlp.get_layer("logits").kernel.numpy()
    assert_allclose(
        unit_vectors(BehaviourTextFamily().item_vectors(softmax)),
        classes / np.sqrt((classes**2).sum(axis=1, keepdims=True)),
        rtol=1e-5,
    )
    assert BehaviourTextFamily().item_vectors(BehaviourTextModel(encoder, "sigmoid", tokens=16)) is None


@pytest.mark.slow
def test_a_training_leaves_curves_and_the_item_space_for_tensorboard(tmp_path):
    rows = [(f"u{u}", f"i{(u + step) % 6}", step) for u in range(12) for step in range(6)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(6)], "name": [f"Thing {i}" for i in range(6)]})
    dataset = prepare(events, items, tmp_path / "data", split="leave-one-out")
    small = ["model.dim=4", "model.heads=1", "model.use_text=false", "training.epochs=2", "tracking.projector=5"]
    run = train(dataset, tmp_path / "run", RunConfig().with_values(small))

    shown, labels = seen(run.path.parent)  # as with many runs in a folder
    assert labels == seen(run.path / "tensorboard")[1]
    places = [dataset.item_ids.tolist().index(label["item_id"]) for label in labels]
    assert_allclose(shown, run.model.item_vectors().numpy()[places], atol=1e-4)
    assert len(labels) == 5 and labels[0]["title"] == f"Thing {labels[0]['item_id'][1:]}"

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run.path / "tensorboard" / "train"))
    read.Reload()
    curves = {"epoch_loss": "loss", "epoch_valid_ndcg@10": "valid_ndcg@10"}
    written = pl.read_csv(run.path / "history.csv")
    for name, column in curves.items():
        values = [float(np.squeeze(_number(event.tensor_proto))) for event in read.Tensors(name)]
        assert_allclose(values, written[column], rtol=1e-5)


def _number(proto):
    from tensorboard.util import tensor_util

    return tensor_util.make_ndarray(proto)
