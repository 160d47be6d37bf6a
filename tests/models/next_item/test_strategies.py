"""Training with `training.mixed_bfloat16` and `training.strategy`."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.models.next_item.fit import fit_next_item

SMALL = [
    "model.dim=16",
    "model.heads=2",
    "model.temperature=0.05",
    "training.batch_size=16",
    "training.epochs=12",
    "training.learning_rate=0.01",
]


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """48 users who walk round a ring of 12 items: the next item is the one after."""
    rows = [(f"u{u}", f"i{(u + step) % 12}", "view", step) for u in range(48) for step in range(8)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": [f"item {i}" for i in range(12)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.mark.nightly
@pytest.mark.slow
def test_bfloat16_learns_what_float32_does_and_keeps_float32_weights(ring, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)
    found = {}
    for name in ("false", "true"):
        config = RunConfig().with_values([*SMALL, f"training.mixed_bfloat16={name}"])
        result = fit_next_item(ring, vectors, config, workdir=tmp_path / name)
        found[name] = result
        assert {weight.dtype.name for weight in result.model.trainable_weights} == {"float32"}
    assert found["true"].model.body.layers[-2].compute_dtype == "bfloat16"
    losses = [found[name].history[-1]["loss"] for name in found]
    assert losses[0] < 0.6 * found["false"].history[0]["loss"]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)


ON_TWO_DEVICES = """
import json, sys
import tfrec
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tfrec.config import RunConfig
from tfrec.data import PreparedDataset
from tfrec.models.next_item.fit import fit_next_item
from tfrec.training.distribution import strategy
data, out, *values = sys.argv[1:]
config = RunConfig().with_values(values)
result = fit_next_item(PreparedDataset.load(data), None, config, workdir=Path(out))
replicas = strategy(config.training.strategy).num_replicas_in_sync
print(json.dumps([replicas, result.history[0]["loss"], result.history[-1]["loss"], result.metrics_valid["ndcg@10"]]))
"""


@pytest.mark.slow
def test_two_devices_learn_what_one_does(ring, tmp_path):
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(ring.path), str(tmp_path / "two"), *SMALL]
    two = subprocess.Popen([*command, "training.strategy=mirrored"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    one = fit_next_item(ring, None, RunConfig().with_values(SMALL), workdir=tmp_path / "one")
    out, errors = two.communicate()
    assert two.returncode == 0, errors.decode()[-2000:]
    replicas, *losses, ndcg = json.loads(out.splitlines()[-1])
    assert replicas == 2
    assert losses == pytest.approx([one.history[0]["loss"], one.history[-1]["loss"]], rel=0.15)
    assert one.metrics_valid["ndcg@10"] > 0.8 and ndcg > 0.8
