"""The commands of a checkout: `python -m tfrec.dev COMMAND`, as `--help` lists them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tfrec.errors import TfrecError

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
    "SECURITY.md",
    "CITATION.cff",
    ".github",
    ".pre-commit-config.yaml",
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
    asked = command_line().parse_args(arguments)
    try:
        return int(asked.run(asked))
    except TfrecError as error:
        print(error, file=sys.stderr)
        return 2


def command_line() -> argparse.ArgumentParser:
    """The commands and their options; `run` of what it parses is the function to call with that."""
    parser = argparse.ArgumentParser(prog="python -m tfrec.dev", description="Commands of the repository.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about)
        added.set_defaults(run=run)
        return added

    checking = command("check", _check, "format, lint, types, layers, spelling and tests")
    checking.add_argument("--no-tests", action="store_true", help="leave pytest out")
    notebooks = command("notebooks", _notebooks, "execute the tutorials and store them with their outputs")
    notebooks.add_argument("names", nargs="*", help="e.g. 03; all by default")
    picture = command("picture", _picture, "draw docs/result.svg, the README's picture, from an evaluated run")
    picture.add_argument("--of", type=Path, default=Path("runs/quickstart"), help="runs/quickstart by default")
    picture.add_argument("--data", type=Path, default=Path("runs/quickstart-data"), help="its prepared data")
    command("docs", _docs, "build the site into build/site, warnings as errors")
    coverage = command("coverage", _coverage, "run tests and show what they reach")
    coverage.add_argument("paths", nargs="*", help="of tests; all by default")
    command("constraints", _constraints, "renew constraints.txt, the versions that CI installs")
    smoke = command("smoke", _smoke, "build the wheel, install it elsewhere and run the quickstart there")
    smoke.add_argument("--epochs", type=int, default=2, help="of the quickstart; 2 by default")
    smoke.add_argument("--out", type=Path, help="keep the wheel here once it has passed")
    return parser


def _check(asked: argparse.Namespace) -> int:
    return check(tests=not asked.no_tests)


def _notebooks(asked: argparse.Namespace) -> int:
    from tfrec.dev.notebooks import store

    return store(asked.names)


def _picture(asked: argparse.Namespace) -> int:
    from tfrec.dev.result_picture import write_picture

    write_picture(asked.of, asked.data, ROOT / "docs" / "result.svg")
    return 0


def _docs(_: argparse.Namespace) -> int:
    from tfrec.dev.site import build

    return build()


def _coverage(asked: argparse.Namespace) -> int:
    from tfrec.dev.measure_coverage import measure_coverage

    return measure_coverage(ROOT, asked.paths)


def _constraints(_: argparse.Namespace) -> int:
    from tfrec.dev.constraints import renew_constraints

    return renew_constraints(ROOT)


def _smoke(asked: argparse.Namespace) -> int:
    from tfrec.dev.smoke import smoke

    return smoke(ROOT, asked.epochs, asked.out)


if __name__ == "__main__":
    sys.exit(main())
