"""Shared by the benchmarks: environments of the peers, data folders, and the description of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def peer_python(name: str, packages: list[str]) -> str:
    """Path of the Python of a peer's environment, which is made on first use in the cache folder.

    Args:
        name: Name of the environment.
        packages: Requirements; if they have changed, the environment is made anew.
    """
    home = Path(os.environ.get("TFREC_CACHE") or Path.home() / ".cache" / "tfrec") / "benchmarks" / name
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.is_file() or ready.read_text() != "\n".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
        ready.write_text("\n".join(packages))
    return str(python)


def run_peer(python: str, script: str, *arguments: str) -> str:
    """Runs a script with `python` on the cores of this process and returns the last line that it prints."""
    cores = len(os.sched_getaffinity(0))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(cores)}
    finished = subprocess.run([python, script, *arguments], capture_output=True, text=True, env=environment)
    if finished.returncode or not finished.stdout.strip():
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{finished.stderr[-4000:]}")
    return finished.stdout.strip().splitlines()[-1]


def data_folder(name: str) -> Path | None:
    """Folder of a data set in `$TFREC_BENCH_DATA` (by default `../shared/data`); None if it is not there."""
    folder = Path(os.environ.get("TFREC_BENCH_DATA") or REPOSITORY.parent / "shared" / "data") / name
    return folder if folder.is_dir() else None


def machine() -> dict[str, Any]:
    """Number of cores of this process, and the platform."""
    return {"cpus": len(os.sched_getaffinity(0)), "platform": platform.platform()}
