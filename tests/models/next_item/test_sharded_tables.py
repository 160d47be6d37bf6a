"""Id vectors in other processes: the weights of one process, its checkpoints, and what is said when one dies."""

import tfrec

import os  # isort: skip
import signal
from contextlib import ExitStack, contextmanager

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput, Unavailable
from tfrec.keras import keras
from tfrec.models import NextItemModel
from tfrec.models.next_item import fit
from tfrec.models.next_item import model as next_item_model
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.input_pipeline import batches
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.sharded_trainer import ShardedTrainer
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared import hosted_item_table, item_table
from tfrec.models.shared.hosted_item_table import HostedItemTable
from tfrec.models.shared.item_table import ItemTable
from tfrec.training import sharded_rows
from tfrec.training.lazy_adam import LazyAdam
from tfrec.training.row_shard import first_rows
from tfrec.training.sharded_rows import ShardedRows

ITEMS = 24
CONFIG = RunConfig().with_values(
    {
        "model.dim": 16, "model.heads": 2, "model.neighbours": 4, "training.negatives": "mixed", "training.sample": 8,
        "training.epochs": 2, "training.batch_size": 20, "training.balance": False, "training.learning_rate": 0.01,
    }
)  # fmt: skip
VECTORS = np.random.default_rng(2).normal(size=(ITEMS, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """50 users who walk round a ring of 24 items."""
    starts = np.random.default_rng(5).integers(0, ITEMS, 50)
    rows = [(f"u{u}", f"i{(start + step) % ITEMS}", step) for u, start in enumerate(starts) for step in range(9)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """A few small steps take less time than to trace one."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class RowWise(LazyAdam):
    """Adam, but of id vectors row-wise Adagrad: what the processes compute, in TensorFlow and in this one."""

    def update_step(self, gradient, variable):
        if variable.name != "items/ids:0":
            super().update_step(gradient, variable)
            return
        if not hasattr(self, "squares"):
            with tf.init_scope():
                self.squares = tf.Variable(tf.zeros([ITEMS]))
        dense = tf.convert_to_tensor(gradient)
        self.squares.assign_add(tf.reduce_mean(dense**2, axis=1))
        variable.assign_sub(self.learning_rate * dense / (tf.sqrt(self.squares) + 1e-8)[:, None])


class Here:
    """An actor in this process."""

    def __init__(self, made):
        self.made = made

    def call(self, method, *arguments):
        answer = getattr(self.made, method)(*arguments)
        return lambda: answer


@pytest.fixture
def here(monkeypatch):
    """No processes: what they hold is in this one."""

    @contextmanager
    def actors(config, make, arguments):
        yield [Here(make(*each)) for each in arguments]

    monkeypatch.setattr(sharded_rows, "actors_of", actors)


@contextmanager
def trainer_of(dataset, vectors, shards):
    """A trainer with id vectors in so many processes; 0 is one with weights of its own."""
    keras.utils.set_random_seed(0)
    with ExitStack() as stack:
        config = CONFIG.with_values({"cluster.table_shards": shards})
        host = fit._host(stack, config) if shards else None
        model = build_next_item_model(dataset, vectors, config, host=host)
        if not shards and vectors is None:  # the processes draw what rows start from in another way
            model.items.ids.assign(first_rows(0, ITEMS, model.dim, 0.02, 0))
        sampler = CandidateSampler("mixed", np.ones(ITEMS), size=8)
        trainer = (ShardedTrainer if shards else NextItemTrainer)(model, sampler)
        trainer.compile((LazyAdam if shards else RowWise)(0.01, beta_2=0.98, clipnorm=0.05))
        trainer.optimizer.build(trainer.trainable_variables)
        yield trainer


def steps(dataset, trainer):
    """The losses of three steps."""
    windows = Windows.cut(dataset.training(), 50, np.ones(1))
    return [float(trainer.train_step(batch)["loss"]) for batch in batches(windows, CONFIG, 20, 0, 1)]


def weights_of(model, folder):
    """The weights as a model of a process of its own reads them from the file."""
    path = str(folder / f"{len(list(folder.iterdir()))}.weights.h5")
    model.save_weights(path)
    plain = NextItemModel(**model.get_config())
    plain.load_weights(path)
    return {weight.name: weight.numpy() for weight in plain.weights}


def assert_same_weights(ours, theirs):
    for name, weights in ours.items():
        atol = 1e-4 if name.endswith("dense/bias:0") else 1e-5  # the bias of the keys gets rounding errors alone
        assert_allclose(weights, theirs[name], atol=atol, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vectors", "shards"),
    [(VECTORS, 2), *(pytest.param(*each, marks=pytest.mark.nightly) for each in ((VECTORS, 1), (None, 2)))],
)
def test_the_weights_are_those_of_one_process(dataset, tmp_path, vectors, shards, here):
    """The norm of gradients is cut, which is one of all rows."""
    with trainer_of(dataset, vectors, 0) as alone, trainer_of(dataset, vectors, shards) as trainer:
        theirs = steps(dataset, alone)
        assert steps(dataset, trainer) == pytest.approx(theirs, abs=1e-5)
        ours = weights_of(trainer.backbone, tmp_path)
        assert_same_weights(ours, {weight.name: weight.numpy() for weight in alone.backbone.weights})
    assert theirs[2] < theirs[0]
    assert np.abs(ours["items/ids:0"]).max() > 0.01


@pytest.mark.slow
def test_a_hosted_model_reads_the_rows_in_the_file_of_weights(dataset, tmp_path, monkeypatch):
    """And scores the catalogue block by block."""
    model = build_next_item_model(dataset, VECTORS, CONFIG)
    model.items.ids.assign(np.random.default_rng(0).normal(size=(ITEMS, 16)))
    model.save_weights(str(tmp_path / "plain.weights.h5"))
    one = {"history_items": [[3, 1, -1]], "history_events": [[0, 0, -1]], "history_gaps": [[0.0, 0.0, 0.0]]}
    scores = model.scores(one)
    monkeypatch.setattr(next_item_model, "ITEMS_AT_ONCE", 7)
    monkeypatch.setattr(hosted_item_table, "_BLOCK", 7)
    hosted = NextItemModel(**model.get_config(), hosted=True)
    hosted.load_weights(str(tmp_path / "plain.weights.h5"))
    assert isinstance(hosted.items.id_source, np.memmap)
    assert_allclose(hosted.history_vectors(), model.history_vectors(), atol=1e-6)
    assert_allclose(hosted.scores(one), scores, atol=1e-5)
    ours = {weight.name: weight.numpy() for weight in model.weights}
    assert_same_weights(weights_of(hosted, tmp_path), ours)


def test_a_table_starts_from_the_same_text_and_ids_in_blocks_and_where_they_are_held(monkeypatch):
    plain, hosted = ItemTable(9, 5, 3), HostedItemTable(9, 5, 3)
    plain.build(None)
    plain.start_from(VECTORS[:9, :5])
    monkeypatch.setattr(item_table, "_BLOCK", 4)
    hosted.build(None)
    hosted.attach(np.zeros((9, 3), np.float32))
    hosted.start_from(VECTORS[:9, :5])
    for table in (plain, hosted):
        table.set_ids(np.array([7, 2]), np.ones((2, 3), np.float32))
    assert_allclose(hosted.components, plain.components, atol=1e-6)
    assert_allclose(hosted.id_rows(), plain.id_rows())
    assert_allclose(hosted(tf.constant([[7, -1]])), plain(tf.constant([[7, -1]])), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"training.negatives": "all"}, "needs training.negatives=mixed"),
        ({"training.ema": 0.9, "training.weight_decay": 0.1}, "training.ema=0 and training.weight_decay=0"),
    ],
)
def test_what_shards_cannot_do_is_refused(dataset, tmp_path, options, said):
    config = CONFIG.with_values({"cluster.table_shards": 2, **options})
    with pytest.raises(InvalidInput, match=said):
        fit.fit_next_item(dataset, VECTORS, config, workdir=tmp_path)


def test_other_families_refuse_shards(dataset, tmp_path):
    with pytest.raises(InvalidInput, match=r"model.kind=click-ranker.*Leave it out"):
        tfrec.train(dataset, tmp_path / "run", {"model.kind": "click-ranker", "cluster.table_shards": 2})


@pytest.mark.nightly
def test_a_dead_process_is_named_and_the_training_goes_on_from_its_checkpoint(dataset, tmp_path, monkeypatch):
    """It dies in the third epoch; resumed in three processes, the training ends where an undisturbed one does."""
    config = CONFIG.with_values({"cluster.table_shards": 2, "training.epochs": 3})
    whole = fit.fit_next_item(dataset, VECTORS, config, workdir=tmp_path / "whole")
    save, epochs = ShardedRows.save, []

    def save_and_kill(rows, prefix):
        save(rows, prefix)
        epochs.append(prefix)
        if len(epochs) == 2:
            os.kill(rows._shards[1].pid, signal.SIGKILL)

    monkeypatch.setattr(ShardedRows, "save", save_and_kill)
    with pytest.raises(Unavailable, match=r"exit code -9.*--resume"):
        fit.fit_next_item(dataset, VECTORS, config, workdir=tmp_path / "killed")
    config = config.with_values({"cluster.table_shards": 3})
    resumed = fit.fit_next_item(dataset, VECTORS, config, workdir=tmp_path / "killed", resume=True)
    assert len(epochs) == 3
    assert_same_weights(weights_of(resumed.model, tmp_path), weights_of(whole.model, tmp_path))
    assert resumed.metrics_valid == whole.metrics_valid
