"""`tfrec retrain`: one JSON line, the exit codes, and the file at the top that is the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(tfrec, *arguments):
    code, out, err = tfrec("retrain", *arguments)
    (line,) = out.splitlines()
    return code, json.loads(line), err


@pytest.mark.parametrize(
    "outcome, code",
    [("promoted", 0), ("nothing_new", 0), ("rolled_back", 0), ("refused", 3)],
)
def test_the_exit_code_tells_what_happened(tfrec, monkeypatch, tmp_path, outcome, code):
    import tfrec.workflows.retrain as job

    asked = {}

    def fake(*arguments, **options):
        asked.update(options, arguments=arguments)
        return {"status": outcome, "version": 3}

    monkeypatch.setattr(job, "retrain", fake)
    monkeypatch.setattr(job, "rollback", fake)
    place = ("--home", tmp_path / "home")
    source = ("--events", "e.csv", "--items", "i.csv", "--out", "m/shop", "--set", "retrain.keep=3")
    more = ("--rollback",) if outcome == "rolled_back" else (*source, "--anew")
    assert run(tfrec, *place, *more)[:2] == (code, {"status": outcome, "version": 3})
    if outcome == "promoted":
        assert asked["arguments"] == (Path("e.csv"), Path("i.csv"), tmp_path / "home", Path("m/shop"))
        assert asked["config"].retrain.keep == 3 and asked["anew"] and not asked["force"]


def test_bad_input_and_a_second_copy_have_codes_of_their_own(tfrec, tmp_path):
    from tfrec.workflows.retrain.state import locked

    home = ("--home", tmp_path / "home")
    code, outcome, err = run(tfrec, *home, "--events", "e.csv")
    assert code == 2 and outcome["status"] == "failed" and "Expected --items, --out too" in outcome["error"]
    assert err == f"tfrec: {outcome['error']}\n"
    source = ("--events", tmp_path / "none.csv", "--items", tmp_path / "none.csv", "--out", tmp_path / "m")
    code, outcome, _ = run(tfrec, *home, *source)
    assert code == 2 and "there is no file" in outcome["error"]
    with locked(tmp_path / "home"):
        code, outcome, _ = run(tfrec, *home, *source)
    assert code == 4 and outcome["kind"] == "Busy"


def test_an_internal_failure_is_1_and_still_a_line(tfrec, monkeypatch, tmp_path):
    import tfrec.workflows.retrain as job

    monkeypatch.setattr(job, "rollback", lambda home: 1 / 0)
    code, outcome, _ = run(tfrec, "--home", tmp_path, "--rollback")
    assert code == 1 and outcome == {"status": "failed", "kind": "ZeroDivisionError", "error": "division by zero"}


def test_the_script_at_the_top_is_the_command(tmp_path):
    command = [sys.executable, str(ROOT / "retrain.py"), "--home", str(tmp_path / "none"), "--rollback"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 2 and json.loads(found.stdout)["status"] == "failed"
    assert "there is nothing to go back from" in found.stderr
