"""Coverage counts what runs in this process, in pytest's workers and in processes that tests start."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfrec.dev import measure_coverage as measuring

ROOT = Path(__file__).resolve().parents[2]

TOY = """\
def reached(flag):
    if flag:
        return 1
    return 0


def elsewhere():
    return 2


def never():
    return 3
"""
TEST = """\
import subprocess
import sys

import toy


def test_half_a_branch():
    assert toy.reached(True) == 1


def test_in_a_process_of_its_own():
    subprocess.run([sys.executable, "-c", "import toy; toy.elsewhere()"], check=True)
"""


@pytest.mark.nightly
def test_the_settings_see_workers_subprocesses_and_branches(tmp_path, monkeypatch):
    settings = re.search(
        r"\[tool\.coverage\.run\].*?(?=\n\[tool\.uv\])", (ROOT / "pyproject.toml").read_text(), re.DOTALL
    )
    (tmp_path / "pyproject.toml").write_text(settings[0].replace('"tfrec"', '"toy"'))
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TEST)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--cov"]
    done = subprocess.run([*command, "--cov-report=json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "coverage.json").read_text())["files"]["toy.py"]
    assert found["missing_lines"] == [4, 12]
    assert found["missing_branches"] == [[2, 4]]


def test_the_command_gives_its_paths_and_pytests_exit_code(monkeypatch, capsys):
    asked = []

    def run(command, cwd):
        asked.append((command, cwd))
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(subprocess, "run", run)
    assert measuring.measure_coverage(ROOT, ["tests/data"]) == 5
    assert asked[0][0][-1] == "tests/data" and "--cov" in asked[0][0] and asked[0][1] == ROOT
    assert "build/coverage/index.html" in capsys.readouterr().out
