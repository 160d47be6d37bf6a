"""The package as a whole: what importing it does, what it declares, and that nothing is left untested."""

import configparser
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "cluster",
    "data",
    "encoders",
    "privacy",
    "retrieval",
    "evaluation",
    "pretraining",
    "models",
    "runs",
    "explanation",
    "serving",
    "experiments",
    "workflows",
    "cli",
)
REACHED_THROUGH = {
    "TopKResult": "TopK",
    "RankingResult": "evaluate_ranking",
    "Workers": "workers_of",
    "BeyondResult": "evaluate_beyond",
    "CheckReport": "check",
    "DeviceCheckReport": "check",
    "SizeReport": "check",
    "ModelServer": "LocalServer",
    "IndexReport": "build_index",
    "ServerError": "predict",
    "AnalysisResult": "analyse",
    "Decision": "decide",
    "OffPolicyResult": "off_policy",
    "SimulatedLogs": "run",
    "Change": "change_points",
    "OptimisedInterleaving": "optimised",
    "Scorer": "recommend",
    "RankingReasons": "explain_ranking",
    "Shares": "shapley",
    "ClickRankerServing": "export",
    "TwoStageServing": "export",
    "NextItemScorer": "scorer",
    "ImageEncoder": "load_image_encoder",
    "TextEncoder": "load_encoder",
    "NextItemServing": "export",
    "BehaviourTextServing": "export",
}
"""Public types that tests get from a call rather than by name: the call that has to be in the tests."""

HEAVY = "('tensorflow', 'tf_keras', 'keras', 'polars', 'pandas', 'pydantic', 'numpy', 'rich')"


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True
    )


def test_importing_tfrec_loads_nothing_heavy():
    found = run_python(f"import tfrec, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert found.stdout.strip() == "[]", found.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['tfrec', '--help']\n"
        "from tfrec.cli import main\n"
        "try: main()\n"
        f"finally: print('LOADED', [m for m in {HEAVY} if m in sys.modules])"
    )
    found = run_python(code)
    assert "LOADED []" in found.stdout, found.stderr
    for command in (
        "quickstart",
        "prepare",
        "encoder",
        "train",
        "evaluate",
        "compare",
        "experiment",
        "recommend",
        "explain",
        "audit",
        "export",
        "index",
        "check",
        "label",
        "serve",
        "explore",
        "retrain",
        "tune",
    ):
        assert f"  {command}" in found.stdout


def test_import_chooses_keras_2():
    assert run_python("import tfrec, os; print(os.environ['TF_USE_LEGACY_KERAS'])").stdout.strip() == "1"


@pytest.mark.slow
def test_importing_after_tensorflow_with_keras_3_says_what_to_do():
    found = run_python("import tensorflow; import tfrec")
    assert found.returncode != 0
    last = found.stderr.strip().splitlines()[-1]
    assert "InvalidInput" in last and "TF_USE_LEGACY_KERAS=1" in last and "Import tfrec before tensorflow" in last


def test_importing_after_tensorflow_with_keras_2_is_fine():
    code = "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow'); import tfrec"
    assert run_python(code, TF_USE_LEGACY_KERAS="1").returncode == 0
    assert run_python(code).returncode != 0


def test_every_public_name_exists():
    import tfrec

    for name in tfrec.__all__:
        assert name == "__version__" or callable(getattr(tfrec, name)), name
    with pytest.raises(AttributeError, match="nonsense"):
        tfrec.nonsense  # noqa: B018


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_is_named_in_its_tests(room):
    module = importlib.import_module(f"tfrec.{room}")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    sought = {name: REACHED_THROUGH.get(name, name) for name in getattr(module, "__all__", [])}
    assert [name for name, word in sought.items() if not re.search(rf"\b{re.escape(word)}[(.]", tests)] == []


def test_every_file_below_tests_is_collected():
    strays = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_")
        and path.name not in ("conftest.py", "__init__.py")
        and not re.search(rf"\b{path.stem}\b", _sources(exclude=path))
    ]
    assert strays == []  # helpers are imported by a test; anything else would silently never run


def _sources(exclude: Path) -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py") if p != exclude)


def test_the_readme_has_the_two_commands_and_ci_runs_one_of_them():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/tfrec quickstart" in lines
    tests = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"
    pattern = re.search(r'grep -E "(.*)" README\.md', (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert pattern is not None
    found = subprocess.run(["grep", "-E", pattern[1], "README.md"], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == tests + "\n"


def test_dev_includes_every_other_extra():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = dict(setup["options.extras_require"])
    included = re.search(r"tfrec-bert\[(.*)\]", extras.pop("dev"))
    assert included is not None
    assert sorted(included[1].split(",")) == sorted(extras)
    known = "serve experiments notebooks docs baselines tune mlflow formats databases privacy scrub cluster"
    assert set(extras) == set(known.split())


def test_the_distribution_is_never_called_by_the_name_of_another_project():
    wrong = re.compile(r"pip install +['\"]?tfrec(?!-bert)\b")
    texts = [*ROOT.glob("*.md"), *(ROOT / "tfrec").rglob("*.py")]
    assert [path.name for path in texts if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_the_check_command_goes_on_after_a_failure_and_reports_it(monkeypatch, capsys):
    from tfrec.dev import __main__ as dev

    python = sys.executable
    commands = {"good": [python, "-c", "pass"], "bad": [python, "-c", "exit(3)"], "after": [python, "-c", "pass"]}
    monkeypatch.setattr(dev, "checks", lambda tests: commands)
    assert dev.main(["check", "--no-tests"]) == 1
    out = capsys.readouterr().out
    assert "== after" in out and "Failed: bad" in out
    del commands["bad"]
    assert dev.main(["check"]) == 0


def test_the_check_command_runs_every_tool():
    from tfrec.dev.__main__ import checks

    names = ["ruff format", "ruff check", "codespell", "lint-imports", "mypy"]
    assert list(checks(tests=False)) == names
    assert list(checks()) == [*names, "pytest"]
