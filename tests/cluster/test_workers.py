import sys
from types import SimpleNamespace

import polars as pl
import pytest

from tfrec.cluster import InThisProcess, ray_workers, whole_batches, workers_of
from tfrec.config import ClusterConfig
from tfrec.data import prepare
from tfrec.errors import Unavailable

FAR = ClusterConfig(engine="ray", address="127.0.0.1:1", timeout=0.1)


def test_results_come_in_the_order_of_the_calls_and_errors_come_too():
    here = InThisProcess(2)
    assert here.map(divmod, [(7, 2), (9, 4)], "Dividing") == [(3, 1), (2, 1)]
    assert here.share("a table") == "a table"
    with pytest.raises(ZeroDivisionError):
        here.map(divmod, [(7, 0)], "Dividing")


@pytest.mark.parametrize(
    ("rows", "batch", "parts"), [(0, 4, 3), (1, 4, 3), (12, 4, 3), (13, 4, 3), (100, 1, 7), (9, 2, 50)]
)
def test_parts_are_whole_batches_hold_every_row_once_and_are_no_more_than_asked(rows, batch, parts):
    cuts = [range(rows)[cut] for cut in whole_batches(rows, batch, parts)]
    assert [row for cut in cuts for row in cut] == list(range(rows))
    assert len(cuts) <= parts and all(len(cut) % batch == 0 for cut in cuts[:-1]) and all(cuts)


def test_without_ray_the_message_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not there
    log = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [0]})
    with pytest.raises(Unavailable, match=r"needs Ray\. pip install 'tfrec-bert\[cluster\]'"):
        prepare(log, None, tmp_path / "out", config={"cluster.engine": "ray"})
    assert not list(tmp_path.iterdir())


def test_an_address_where_nobody_answers_is_refused_in_time():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    refused = pytest.raises(Unavailable, match=r"Nobody answers at cluster\.address=127\.0\.0\.1:1 after 0\.1 s")
    with refused, workers_of(FAR):
        raise AssertionError("there is no such cluster")


def test_processes_of_a_cluster_that_others_started_choose_the_keras_of_tfrec(monkeypatch):
    given = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    fake = SimpleNamespace(init=lambda **options: given.update(options))
    ray_workers._connect(fake, ClusterConfig(engine="ray", cpus_per_worker=2), show_output=False)
    assert given["runtime_env"] == {"env_vars": {"POLARS_MAX_THREADS": "2", "TF_USE_LEGACY_KERAS": "1"}}
