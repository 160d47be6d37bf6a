"""What the benchmarks share: an environment for the peers, the data, and the machine's description."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def peer_python(name: str, packages: list[str]) -> str:
    """The interpreter of the environment `name` with `packages`, made on first use and kept in the cache folder.

    Where another list of packages was installed under the name, the environment is made anew.
    """
    home = Path(os.environ.get("TFREC_CACHE") or Path.home() / ".cache" / "tfrec") / "benchmarks" / name
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.is_file() or ready.read_text() != "\n".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
        ready.write_text("\n".join(packages))
    return str(python)


def run_peer(python: str, script: str, *arguments: str) -> str:
    """The last line that a script printed, run with `python` on the cores of this process; its errors, if it fails."""
    cores = len(os.sched_getaffinity(0))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(cores)}
    found = subprocess.run([python, script, *arguments], capture_output=True, text=True, env=environment)
    if found.returncode or not found.stdout.strip():
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{found.stderr[-4000:]}")
    return found.stdout.strip().splitlines()[-1]


def data_folder(name: str) -> Path | None:
    """The folder of a data set (`amazon_scientific`, …) under `$TFREC_BENCH_DATA`, by default `../shared/data`."""
    folder = Path(os.environ.get("TFREC_BENCH_DATA") or REPOSITORY.parent / "shared" / "data") / name
    return folder if folder.is_dir() else None


def machine() -> dict[str, Any]:
    """Cores of this process and platform."""
    return {"cpus": len(os.sched_getaffinity(0)), "platform": platform.platform()}
