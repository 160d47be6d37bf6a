"""`tfrec retrain`: its JSON line, its exit codes, and `retrain.py`."""

import json
import re
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
def test_the_exit_code_depends_on_the_status(tfrec, monkeypatch, tmp_path, outcome, code):
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
        assert asked["arguments"] == (["e.csv"], ["i.csv"], tmp_path / "home", Path("m/shop"))
        assert asked["config"].retrain.keep == 3 and asked["anew"] and not asked["force"]
        bare = ("--events", "UserBehavior.csv", "--as", "taobao", "--out", "m/shop")
        assert run(tfrec, *place, *bare)[0] == 0
        assert asked["arguments"][:2] == (["UserBehavior.csv"], None) and asked["reader"] == "taobao"


def test_bad_input_and_a_second_process_have_their_own_exit_codes(tfrec, tmp_path):
    from tfrec.workflows.retrain.job_state import locked

    home = ("--home", tmp_path / "home")
    code, outcome, err = run(tfrec, *home, "--events", "e.csv")
    assert code == 2 and outcome["status"] == "failed" and "Expected --out too" in outcome["error"]
    assert err == f"tfrec: {outcome['error']}\n"
    source = ("--events", tmp_path / "none.csv", "--items", tmp_path / "none.csv", "--out", tmp_path / "m")
    code, outcome, _ = run(tfrec, *home, *source)
    assert code == 2 and "there is no file" in outcome["error"]
    with locked(tmp_path / "home"):
        code, outcome, _ = run(tfrec, *home, *source)
    assert code == 4 and outcome["kind"] == "Busy"


def test_an_internal_failure_exits_with_1_and_prints_a_line(tfrec, monkeypatch, tmp_path):
    import tfrec.workflows.retrain as job

    monkeypatch.setattr(job, "rollback", lambda home: 1 / 0)
    code, outcome, _ = run(tfrec, "--home", tmp_path, "--rollback")
    assert code == 1 and outcome == {"status": "failed", "kind": "ZeroDivisionError", "error": "division by zero"}


def test_retrain_py_is_the_command(tmp_path):
    command = [sys.executable, str(ROOT / "retrain.py"), "--home", str(tmp_path / "none"), "--rollback"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 2 and json.loads(found.stdout)["status"] == "failed"
    assert "there is nothing to roll back" in found.stderr


def test_the_page_names_existing_options_and_exit_codes():
    import typer
    import yaml

    from tfrec.cli.main import app
    from tfrec.cli.retrain import REFUSED
    from tfrec.config import RunConfig
    from tfrec.workflows.retrain import Busy

    page = (ROOT / "docs" / "retrain.md").read_text(encoding="utf-8")
    command = typer.main.get_command(app).commands["retrain"]
    options = {name for parameter in command.params for name in parameter.opts}
    calls = re.findall(r"tfrec retrain (--.*)", page)
    assert len(calls) == 4 + 1  # the command, cron, Airflow (begun), Actions, --rollback
    assert {name for call in calls for name in re.findall(r"--[a-z-]+", call)} <= options
    codes = dict(re.findall(r"^\| (\d) \| `(refused|failed)` \| .*", page, re.MULTILINE))
    assert codes[str(REFUSED)] == "refused" and codes[str(Busy.exit_code)] == "failed"
    config = RunConfig().model_dump()
    for section, key in re.findall(r"`(retrain|data)\.(\w+)`", page):
        assert key in config[section]
    for key, default in re.findall(r"`retrain\.(\w+)` \(([\d.]+)\)", page):
        assert config["retrain"][key] == float(default)
    for kind, text in re.findall(r"```(json|yaml|python)\n(.*?)```", page, re.DOTALL):
        {"json": json.loads, "yaml": yaml.safe_load, "python": lambda code: compile(code, "page", "exec")}[kind](text)
