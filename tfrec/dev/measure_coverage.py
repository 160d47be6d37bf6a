"""`python -m tfrec.dev coverage`: runs tests and shows which lines and branches of the package they reach."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPORT = "build/coverage"


def coverage_command(paths: Sequence[str] = ()) -> list[str]:
    """The command line that measures: what is measured, and how, is in pyproject.toml.

    Args:
        paths: Of tests; all of them by default.

    Example:
        >>> coverage_command(["tests/data"])[1:]
        ['-m', 'pytest', '-q', '--cov', '--cov-report=term', '--cov-report=html:build/coverage', 'tests/data']
    """
    reports = ["--cov-report=term", f"--cov-report=html:{REPORT}"]
    return [sys.executable, "-m", "pytest", "-q", "--cov", *reports, *paths]


def measure_coverage(root: Path, paths: Sequence[str] = ()) -> int:
    """Runs tests under coverage, prints a table by file and writes pages with the lines; returns pytest's exit code.

    Args:
        root: The checkout.
        paths: Of tests; all of them by default.
    """
    code = subprocess.run(coverage_command(paths), cwd=root).returncode
    print(f"The lines that no test reached: {root / REPORT / 'index.html'}")
    return code
