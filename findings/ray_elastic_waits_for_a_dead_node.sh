#!/usr/bin/env bash
# ray 2.60.0: an elastic training whose node has died asks for that node again, and waits for the whole start timeout.
#
# Guess: with ScalingConfig(num_workers=(1, 2)), a training that has lost one of two nodes goes on at once with one worker,
# as the other node has all that it needs.
# Seen: right after the death the resources of the dead node still count as ready. Two workers are asked for, and nothing
# happens until RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S is over. Only then one worker begins. So this timeout, which one
# raises for workers that take long to load, is also what every lost node costs.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet "ray[train]==2.60.0"
cat > see.py <<'PY'
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

TIMEOUT = 40
os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(TIMEOUT)
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from ray.cluster_utils import Cluster
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


def begin(job):
    from ray.train import get_context

    context = get_context()
    Path(job["notes"], f"{context.get_world_size()}-{context.get_world_rank()}").touch()
    while context.get_world_size() == 2:  # until its node or that of the other is gone
        time.sleep(0.1)


notes = Path(tempfile.mkdtemp(dir="."))
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1}, connect=True)
other = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
waited = []


def take_one_away():
    while len(list(notes.iterdir())) < 2:
        time.sleep(0.1)
    cluster.remove_node(other, allow_graceful=False)
    gone = time.monotonic()
    while not (notes / "1-0").exists():
        time.sleep(0.1)
    waited.append(time.monotonic() - gone)


watcher = threading.Thread(target=take_one_away, daemon=True)
watcher.start()
DataParallelTrainer(
    begin,
    train_loop_config={"notes": str(notes.absolute())},
    scaling_config=ScalingConfig(num_workers=(1, 2), resources_per_worker={"CPU": 1}),
    run_config=RunConfig(storage_path=tempfile.mkdtemp(), failure_config=FailureConfig(max_failures=3)),
).fit()
watcher.join(timeout=10)
ray.shutdown()
cluster.shutdown()
print(f"ray {ray.__version__}: one worker went on {waited[0]:.0f} s after the node died; the start timeout is {TIMEOUT} s")
sys.exit(0 if waited[0] >= TIMEOUT else 1)
PY
venv/bin/python see.py 2> err.txt | tail -n 1 || { tail -5 err.txt >&2; exit 1; }
