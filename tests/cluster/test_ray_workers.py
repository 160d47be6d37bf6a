"""Two machines, played by this one: what Ray's workers do is what one process does, whatever dies."""

import pickle
import time
from pathlib import Path

import polars as pl
import pytest

ray = pytest.importorskip("ray", reason="the extra cluster is not installed")
from ray.cluster_utils import Cluster  # noqa: E402

from tests.messy_log import ITEMS, messy_log, prepared, written_as  # noqa: E402
from tfrec.cluster import ray_workers, workers_of  # noqa: E402
from tfrec.config import ClusterConfig  # noqa: E402
from tfrec.data import prepare  # noqa: E402
from tfrec.data.ingest import event_source  # noqa: E402
from tfrec.errors import InvalidInput, Unavailable  # noqa: E402

pytestmark = pytest.mark.nightly  # a cluster takes some ten seconds to start

ON_RAY = {"cluster.engine": "ray", "cluster.workers": 2, "cluster.cpus_per_worker": 0.4, "cluster.timeout": 60}


@pytest.fixture(scope="module")
def cluster():
    """A head that does no work, and two machines with a core each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0}, connect=True)
    made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(event_source, "LEAST_ROWS", 60)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_two_machines_prepare_a_folder_to_the_same_bytes(cluster, small_shards, tmp_path, capsys, form):
    folder = written_as(messy_log().drop("split"), tmp_path / "log", form)
    ours, _ = prepared(folder, ITEMS, tmp_path / "one", capsys)
    spill = tmp_path / "new" / "spill"
    config = ON_RAY if form == "parquet" else {**ON_RAY, "cluster.spill": str(spill)}
    theirs, _ = prepared(folder, ITEMS, tmp_path / "many", capsys, config=config)
    assert theirs == ours and len(ours) == 64
    assert {path.name for path in tmp_path.iterdir()} - {"new"} == {"log", "many", "one"}
    assert spill.is_dir() == (form != "parquet") and not [*tmp_path.glob("new/spill/*")]


@pytest.mark.parametrize("label", ["Finding ids", "Reading events", "Sorting events"])
def test_a_machine_that_is_killed_costs_time_and_no_rows(cluster, small_shards, tmp_path, capsys, monkeypatch, label):
    folder = written_as(messy_log().drop("split"), tmp_path / "log", "parquet")
    ours, _ = prepared(folder, ITEMS, tmp_path / "one", capsys)
    gone = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    killed = []
    result, run = ray_workers.RayWorkers._result, ray_workers.RayWorkers.map

    def mapped(self, function, calls, name):
        def after_first(self, task):
            if name == label and not killed:
                killed.append(cluster.remove_node(gone, allow_graceful=False))
            return result(self, task)

        monkeypatch.setattr(ray_workers.RayWorkers, "_result", after_first)
        return run(self, function, calls, name)

    monkeypatch.setattr(ray_workers.RayWorkers, "map", mapped)
    theirs, _ = prepared(folder, ITEMS, tmp_path / "many", capsys, config={**ON_RAY, "cluster.workers": 3})
    assert killed and theirs == ours and len(ours) == 64


def test_a_cluster_with_too_few_cores_is_refused_in_time(cluster):
    asked = ClusterConfig(engine="ray", workers=50, cpus_per_worker=2, timeout=1)
    started = time.monotonic()
    refused = pytest.raises(Unavailable, match=r"cluster\.workers=50 .* need 100 cores; the cluster has [23] after 1 s")
    with refused, workers_of(asked):
        raise AssertionError("it has not")
    assert time.monotonic() - started < 10


def test_a_worker_of_another_version_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(ray_workers, "__version__", "0.0.1")
    refused = pytest.raises(Unavailable, match=r"has tfrec 0\.2\.\d+; this process has tfrec 0\.0\.1\. Install")
    with refused, workers_of(ClusterConfig(engine="ray", workers=1, cpus_per_worker=0.4)):
        raise AssertionError("they differ")


def test_a_shard_that_cannot_be_read_is_named(cluster, small_shards, tmp_path):
    folder = written_as(messy_log(), tmp_path / "log", "parquet")
    (folder / "part-1.parquet").write_bytes(b"PAR1 but not much of it")
    with pytest.raises(InvalidInput, match=r"part-1\.parquet"):
        prepare(folder, ITEMS, tmp_path / "out", config=ON_RAY)
    assert not (tmp_path / "out").exists()


def fails_once(marker: str) -> int:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("the storage is away for a moment")
    return 7


def test_a_task_is_repeated_where_the_storage_failed(cluster, tmp_path):
    with workers_of(ClusterConfig(engine="ray", workers=1, cpus_per_worker=0.4)) as workers:
        task = pickle.loads(pickle.dumps(fails_once))
        assert workers.map(task, [(str(tmp_path / "marker"),)], "Reading") == [7]
        assert workers.map(rows_of, [(workers.share(pl.DataFrame({"a": [1, 2]})),)], "Counting") == [2]


def rows_of(table: pl.DataFrame) -> int:
    return table.height
