"""Runs every check of the repository and says which failed: `python -m tfrec.dev check [--no-tests]`.

`python -m tfrec.dev notebooks [NAME…]` executes and stores the tutorials, `python -m tfrec.dev docs` builds the site.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("tfrec", "tests", "benchmarks", "notebooks", "retrain.py", "setup.py")
TEXTS = (
    *SOURCES,
    "docs",
    "mkdocs.yml",
    "README.md",
    "README.zh.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "saved_models/README.md",
)


def checks(tests: bool = True) -> dict[str, list[str]]:
    """Name to command line of each check, in the order in which they run; the quick ones first."""
    python = sys.executable
    sources = [name for name in SOURCES if (ROOT / name).exists()]
    texts = [name for name in TEXTS if (ROOT / name).exists()]
    commands = {
        "ruff format": [python, "-m", "ruff", "format", "--check", *sources],
        "ruff check": [python, "-m", "ruff", "check", *sources],
        "codespell": [python, "-m", "codespell_lib", *texts],
        "lint-imports": [python, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        "mypy": [python, "-m", "mypy"],
    }
    if tests:
        commands["pytest"] = [python, "-m", "pytest", "-q"]
    return commands


def check(tests: bool = True) -> int:
    """Runs all checks, also after one failed; returns 1 when any did, else 0."""
    failed = []
    for name, command in checks(tests).items():
        print(f"== {name}", flush=True)
        started = time.monotonic()
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            failed.append(name)
        print(f"   {time.monotonic() - started:.1f} s", flush=True)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfrec.dev", description="Checks of the repository.")
    commands = parser.add_subparsers(dest="command", required=True)
    all_checks = commands.add_parser("check", help="format, lint, types, layers, spelling and tests")
    all_checks.add_argument("--no-tests", action="store_true", help="leave pytest out")
    notebooks = commands.add_parser("notebooks", help="execute the tutorials and store them with their outputs")
    notebooks.add_argument("names", nargs="*", help="e.g. 03; all by default")
    commands.add_parser("docs", help="build the site into build/site, warnings as errors")
    asked = parser.parse_args(arguments)
    if asked.command == "notebooks":
        from tfrec.dev.notebooks import store

        return store(asked.names)
    if asked.command == "docs":
        from tfrec.dev.site import build

        return build()
    return check(tests=not asked.no_tests)


if __name__ == "__main__":
    sys.exit(main())
