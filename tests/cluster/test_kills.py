"""The harness of `benchmarks/kills.py`, with one kill of each kind; whoever wants more figures runs the script."""

import json
import subprocess
import sys

import pytest

from tfrec.dev.site import ROOT

SCRIPT = ROOT / "benchmarks" / "kills.py"


@pytest.mark.nightly
def test_kills_of_a_worker_a_machine_and_the_command_lose_nothing():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    options = ["--kills", "3", "--kills-per-trial", "3", "--events", "3000", "--epochs", "3"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert found["lost"] == [] and found["largest_metric_difference"] < 1e-3
    assert found["kills"] == found["worker"] + found["machine"] + found["command"] > 0


@pytest.mark.parametrize("what", ["bytes", "rows", "epochs", "files", "metrics"])
def test_what_is_lost_is_told(monkeypatch, what):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import kills

    ours = {
        "bytes": "a",
        "rows": 9,
        "epochs": ["1"],
        "files": ["data", "run"],
        "metrics": {"loss": 2.0, "ndcg@10": 0.0},
    }
    theirs = {"bytes": "b", "rows": 8, "epochs": [], "files": ["data"], "metrics": {"loss": 2.0}}
    lost, apart = kills.differences(ours, {**ours, what: theirs[what]})
    assert len(lost) == 1 and what in lost[0] and (apart > kills.TOLERANCE) == (what == "metrics")
    assert kills.differences(ours, {**ours, "metrics": {"loss": 2.1, "ndcg@10": 0.0}})[1] == pytest.approx(0.05)
    assert kills.differences(ours, dict(ours)) == ([], 0.0)
