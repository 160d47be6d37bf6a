"""The wheel holds the package, whole and alone; what is tried is the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tfrec.dev import smoke as smoke_test
from tfrec.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A small one, with a file that is not code, a compiled one and a command of the checkout."""
    names = ("__init__.py", "py.typed", "serving/loader.c", "dev/smoke.py", "__pycache__/x.pyc")
    for name in names:
        path = tmp_path / "checkout" / "tfrec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "checkout"


def wheel_with(folder, *names):
    path = folder / "tfrec_bert-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*names, "tfrec_bert-1.dist-info/METADATA"):
            archive.writestr(name, "")
    return path


WHOLE = ("tfrec/__init__.py", "tfrec/py.typed", "tfrec/serving/loader.c")


def test_a_whole_wheel_passes(checkout, tmp_path):
    smoke_test.refuse_incomplete(wheel_with(tmp_path, *WHOLE), checkout)


@pytest.mark.parametrize(
    "names, message",
    [
        (WHOLE[:2], r"tfrec/serving/loader\.c \(missing\)"),
        ((*WHOLE, "tests/test_x.py"), r"tests/test_x\.py \(not of the package\)"),
        ((*WHOLE, "tfrec/dev/smoke.py"), r"tfrec/dev/smoke\.py \(not of the package\)"),
    ],
)
def test_a_wheel_that_lacks_a_file_or_has_too_many_is_refused(checkout, tmp_path, names, message):
    with pytest.raises(InvalidInput, match=message):
        smoke_test.refuse_incomplete(wheel_with(tmp_path, *names), checkout)


def test_another_package_than_the_wheels_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "tfrec").mkdir()
    (tmp_path / "tfrec" / "__init__.py").touch()
    with pytest.raises(InvalidInput, match="Unset what leads there"):
        smoke_test.refuse_foreign(Path(sys.executable), tmp_path)  # python -c looks in its folder first


def test_the_steps_in_order_and_the_wheel_is_kept_only_when_all_worked(tmp_path, monkeypatch):
    steps = []

    def build(root, out):
        out.mkdir(parents=True)
        return wheel_with(out)

    def run(command, folder, capture=False):
        steps.append(command[1:])
        for name in made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        return ""

    monkeypatch.setattr(smoke_test, "build_wheel", build)
    monkeypatch.setattr(smoke_test, "refuse_incomplete", lambda wheel, root: steps.append("complete"))
    monkeypatch.setattr(smoke_test, "refuse_foreign", lambda python, folder: steps.append("foreign"))
    monkeypatch.setattr(smoke_test, "_install", lambda wheel, home, root: home / "bin" / "python")
    monkeypatch.setattr(smoke_test, "_run", run)
    made = ["runs/quickstart/metrics.json"]
    with pytest.raises(InvalidInput, match=r"saved_model\.pb is not there"):
        smoke_test.smoke(ROOT, 1, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
    made.append("saved_models/movielens/1/saved_model.pb")
    steps.clear()
    assert smoke_test.smoke(ROOT, 1, tmp_path / "dist") == 0
    assert steps == ["complete", "foreign", ["quickstart", "--epochs", "1"]]
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["tfrec_bert-1-py3-none-any.whl"]


def test_a_step_sees_nothing_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH'), os.getcwd())"]
    assert smoke_test._run(command, tmp_path, capture=True).split() == ["None", str(tmp_path)]
    with pytest.raises(subprocess.CalledProcessError):
        smoke_test._run([sys.executable, "-c", "exit(3)"], tmp_path)


@pytest.mark.nightly
def test_the_wheel_of_this_checkout_is_whole(tmp_path):
    wheel = smoke_test.build_wheel(ROOT, tmp_path)
    smoke_test.refuse_incomplete(wheel, ROOT)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"tfrec/py.typed", "tfrec/serving/checking/c_loader.c", "tfrec/cli/main.py"} <= set(names)
    assert not any(name.startswith("tfrec/dev/") for name in names)
