"""Training in two processes of a Ray cluster: the run of one process, also when a process dies on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ray = pytest.importorskip("ray", reason="the extra cluster is not installed")
from ray.cluster_utils import Cluster  # noqa: E402

import tfrec  # noqa: E402

pytestmark = pytest.mark.nightly  # each training starts processes that load TensorFlow

EXACT = {
    "model.dim": 8, "model.heads": 1, "model.dropout": 0, "model.item_dropout": 0, "model.use_text": False,
    "training.batch_size": 16, "training.epochs": 3, "training.learning_rate": 0.0005, "training.negatives": "all",
    "training.balance": False,
}  # fmt: skip
"""Nothing that draws random numbers in a step: each process would draw others."""
ON_RAY = {"cluster.engine": "ray", "cluster.workers": 2, "cluster.cpus_per_worker": 0.5, "cluster.timeout": 300}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % 12}", "view", step) for u in range(45) for step in range(4 + u % 7)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    return tfrec.prepare(events, None, tmp_path_factory.mktemp("data") / "log", split="leave-one-out").path


@pytest.fixture(scope="module")
def alone(data):
    return tfrec.train(data, data.parent / "alone", EXACT)


def assert_same_run(run, other):
    for ours, theirs in zip(run.model.weights, other.model.weights, strict=True):
        # the bias of the keys moves no attention, so its gradient is rounding errors, which Adam makes steps of
        atol = 1e-4 if ours.name == "block_0/dense/bias:0" else 1e-5
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=atol, err_msg=ours.name)
    ours, theirs = (json.loads((each.path / "metrics_valid.json").read_text()) for each in (run, other))
    assert ours["ndcg@10"] == pytest.approx(theirs["ndcg@10"], abs=1e-5)


def test_two_processes_train_the_run_of_one(data, alone, tmp_path):
    spill = tmp_path / "new" / "spill"
    run = tfrec.train(data, tmp_path / "run", {**EXACT, **ON_RAY, "cluster.spill": str(spill)})
    assert_same_run(run, alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "run"] and not [*spill.iterdir()]


def test_processes_evaluate_as_one(data, alone, tmp_path):
    run = alone.with_values({"evaluation.batch_size": 8})
    ours = tfrec.evaluate(run, data, out=tmp_path / "one.json")
    assert tfrec.evaluate(run.with_values(ON_RAY), data, out=tmp_path / "many.json") == ours


def training_processes():
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if "RayTrainWorker" in command.read_text():
                found.append(int(command.parent.name))
        except OSError:
            continue
    return sorted(found)


@pytest.mark.parametrize("which", [0, -1])
def test_a_process_that_is_killed_costs_time_and_changes_nothing(data, alone, tmp_path, which):
    killed = []

    def kill_after_the_first_checkpoint():
        while not list((tmp_path / "run.partial").glob("checkpoint/**/state.json")):
            time.sleep(0.01)
        killed.append(training_processes()[which])
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill_after_the_first_checkpoint, daemon=True).start()
    run = tfrec.train(data, tmp_path / "run", {**EXACT, **ON_RAY})
    assert killed
    assert_same_run(run, alone)


def test_a_command_that_is_killed_is_resumed_to_the_same_run(data, alone, tmp_path):
    given = {"data": str(data), "out": str(tmp_path / "run"), "config": {**EXACT, **ON_RAY}}
    script = "import json, sys, tfrec; given = json.loads(sys.argv[1]); tfrec.train(**given)"
    command = subprocess.Popen([sys.executable, "-c", script, json.dumps(given)], start_new_session=True)
    while not list((tmp_path / "run.partial").glob("checkpoint/**/state.json")):
        assert command.poll() is None
        time.sleep(0.01)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    while training_processes():  # they notice that nobody waits for them
        time.sleep(0.1)
    assert not (tmp_path / "run").exists()
    assert_same_run(tfrec.train(**given, resume=True), alone)
    history = pl.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].to_list() == [1, 2, 3]


def test_where_a_machine_is_lost_training_goes_on_with_one_process_fewer(data, alone, tmp_path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1}, connect=True)
    try:
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        sizes = []

        def take_one_away():
            while not list((tmp_path / "run.partial").glob("checkpoint/**/state.json")):
                time.sleep(0.01)
            sizes.append(len(training_processes()))
            cluster.remove_node(other, allow_graceful=False)
            while (tmp_path / "run.partial").exists():
                sizes.append(len(training_processes()))
                time.sleep(0.05)

        watcher = threading.Thread(target=take_one_away, daemon=True)
        watcher.start()
        fewer = {**ON_RAY, "cluster.cpus_per_worker": 1, "cluster.min_workers": 1, "cluster.timeout": 90}
        run = tfrec.train(data, tmp_path / "run", {**EXACT, **fewer})
        watcher.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert sizes[0] == 2 and sizes[-1] == 1
    assert_same_run(run, alone)


def test_id_vectors_in_actors_are_those_in_processes_of_one_machine(data, tmp_path):
    config = {**EXACT, "training.negatives": "mixed", "training.epochs": 1, "cluster.table_shards": 2}
    run = tfrec.train(data, tmp_path / "run", {**config, **ON_RAY})
    assert_same_run(run, tfrec.train(data, tmp_path / "alone", config))
