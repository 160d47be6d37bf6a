"""`python -m tfrec.dev smoke`: does what the wheel installs work, away from the checkout?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfrec.errors import InvalidInput

_BUILT_FROM = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
_LEFT_OUT = "tfrec/dev/"  # the commands of a checkout


def smoke(root: Path, epochs: int = 2, out: Path | None = None) -> int:
    """Builds the wheel, installs it in a fresh environment and runs the quickstart there; returns 0 when all works.

    The environment gets the newest versions that setup.cfg allows, as somebody's who installs today, or those of
    `PIP_CONSTRAINT` where that is set. MovieLens and MiniLM come from tfrec's cache where they are there.

    Args:
        root: The checkout.
        epochs: Of the quickstart's training.
        out: Where to keep the wheel once it has passed, so that what is released is what was tried.

    Raises:
        InvalidInput: The wheel lacks files of the package, or another package than the wheel's was imported.
        subprocess.CalledProcessError: A step failed; it has said why.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tfrec-smoke-") as scratch:
        folder = Path(scratch)
        wheel = build_wheel(root, folder / "dist")
        refuse_incomplete(wheel, root)
        python = _install(wheel, folder / "venv", root)
        refuse_foreign(python, folder)
        _run([str(python.parent / "tfrec"), "quickstart", "--epochs", str(epochs)], folder)
        _refuse_missing(folder, ["runs/quickstart/metrics.json", "saved_models/movielens/1/saved_model.pb"])
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            print(f"Kept {shutil.copy2(wheel, out)}")
    print(f"{wheel.name} works: built, installed and walked through in {time.monotonic() - started:.0f} s.")
    return 0


def build_wheel(root: Path, out: Path) -> Path:
    """The wheel of a checkout, in `out`; built from a copy, since a build folder lends its old files to new wheels."""
    with tempfile.TemporaryDirectory(prefix="tfrec-wheel-") as scratch:
        for name in _BUILT_FROM:
            shutil.copy2(root / name, scratch)
        shutil.copytree(root / "tfrec", Path(scratch, "tfrec"), ignore=shutil.ignore_patterns("__pycache__"))
        options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(out)]
        _run([sys.executable, "-m", "pip", "wheel", *options, scratch], root)
    return next(out.glob("*.whl"))


def refuse_incomplete(wheel: Path, root: Path) -> None:
    """Raises `InvalidInput` unless every file of the package, code or not, is in the wheel, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set(package_files(root))
    if wrong := sorted(expected ^ inside):
        named = [f"{name} ({'missing' if name in expected else 'not of the package'})" for name in wrong]
        raise InvalidInput(
            f"Expected all files below tfrec/ in {wheel.name}, and no others; it differs in {', '.join(named)}. "
            "Add what is missing to options.package_data in setup.cfg."
        )


def package_files(root: Path) -> Iterable[str]:
    """What the wheel has to hold: each file below tfrec/, but compiled ones and the commands of a checkout."""
    for path in (root / "tfrec").rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_LEFT_OUT):
            yield name


def refuse_foreign(python: Path, folder: Path) -> None:
    """Raises `InvalidInput` when a process in `folder` imports `tfrec` from elsewhere than `python`'s environment."""
    found = _run([str(python), "-c", "import tfrec; print(tfrec.__file__)"], folder, capture=True).strip()
    home = python.parent.parent
    if not Path(found).resolve().is_relative_to(home.resolve()):
        raise InvalidInput(f"Expected tfrec in {home}, received {found}. Unset what leads there.")


def _install(wheel: Path, home: Path, root: Path) -> Path:
    """The Python of a new environment with the wheel and what it requires."""
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], root)
    return python


def _refuse_missing(folder: Path, names: Sequence[str]) -> None:
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise InvalidInput(f"Expected {', '.join(names)} from the quickstart; {', '.join(missing)} is not there.")


def _run(command: Sequence[str], folder: Path, capture: bool = False) -> str:
    """Runs it without what would let it see the checkout; its output, where that is captured."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    print(f"+ {' '.join(command)}", flush=True)
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE if capture else None
    )
    return done.stdout or ""
