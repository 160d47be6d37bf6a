"""The harness of `benchmarks/faults.py`, with a few trials; CI runs hundreds each night."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def faults(*options, check=True):
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--jobs", "1", "--seed", "3", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 or not check, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["figures"]


@pytest.mark.slow
def test_prepare_keeps_its_promises_when_it_is_disturbed():
    found = faults("--commands", "prepare", "--kills", "10")
    assert (found["kills"], found["full_disks"], found["two_at_once"], found["faults"]) == (10, 2, 1, 0)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("command", ["train", "recommend", "export", "index", "retrain"])
def test_every_command_that_writes_keeps_its_promises_when_it_is_disturbed(command):
    assert faults("--commands", command, "--kills", "10")["faults"] == 0
