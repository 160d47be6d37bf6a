"""`training.strategy=multi_worker`: two processes of TF_CONFIG learn what one does from the same batches."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from tfrec.data import prepare

EXACT = [
    "model.dim=8", "model.heads=1", "model.dropout=0", "model.item_dropout=0", "training.batch_size=16",
    "training.epochs=2", "training.learning_rate=0.0005", "training.negatives=all", "training.balance=false",
]  # fmt: skip
"""Nothing that draws random numbers in a step: each process would draw others."""

WORKER = """
import json, sys
from pathlib import Path
import tfrec
import numpy as np
from tfrec.config import RunConfig
from tfrec.training.distribution import strategy
data, out, name, *values = sys.argv[1:]
made = strategy(name)  # before TensorFlow computes anything
from tfrec.data import PreparedDataset
from tfrec.models.next_item.fit import fit_next_item
config = RunConfig().with_values([*values, "training.strategy=" + name])
result = fit_next_item(PreparedDataset.load(data), None, config, workdir=Path(out))
np.savez(out + ".npz", **{weight.name.replace("/", "."): weight.numpy() for weight in result.model.weights})
print(json.dumps([made.num_replicas_in_sync, [row["loss"] for row in result.history], result.metrics_valid["ndcg@10"]]))
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """People with histories of different lengths, so that the halves of a batch have different numbers of labels."""
    rows = [(f"u{u}", f"i{(u + step) % 12}", "view", step) for u in range(45) for step in range(4 + u % 7)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": [f"item {i}" for i in range(12)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "log", split="leave-one-out").path


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def started(log, out, name, environment):
    command = [sys.executable, "-c", WORKER, str(log), str(out), name, *EXACT]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def finished(process):
    out, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])


def weights(out):
    with np.load(f"{out}.npz") as stored:
        return dict(stored)


def tolerance(name):
    """The bias of the keys moves no attention, so its gradient is rounding errors, which Adam makes steps of."""
    return 1e-4 if name == "block_0.dense.bias:0" else 1e-5


@pytest.mark.nightly
def test_two_processes_learn_what_one_does_from_the_same_batches(log, tmp_path):
    alone = started(log, tmp_path / "alone", "none", {})
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    both = [
        started(
            log,
            tmp_path / f"worker-{index}",
            "multi_worker",
            {"TF_CONFIG": json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})},
        )
        for index in range(2)
    ]
    try:
        one, two = finished(alone), [finished(each) for each in both]
    finally:
        for each in (alone, *both):
            each.kill()
    assert one[0] == 1 and two[0][0] == two[1][0] == 2
    for each in two:
        np.testing.assert_allclose(each[1], one[1], rtol=1e-5)
        assert each[2] == pytest.approx(one[2], abs=1e-5)
    alone, *both = (weights(tmp_path / name) for name in ("alone", "worker-0", "worker-1"))
    assert len(alone) > 20
    for name, ours in alone.items():
        np.testing.assert_allclose(both[0][name], ours, atol=tolerance(name), err_msg=name)
        np.testing.assert_array_equal(both[0][name], both[1][name])
