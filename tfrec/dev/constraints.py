"""`python -m tfrec.dev constraints`: renews constraints.txt, the exact versions that CI installs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tfrec.errors import Unavailable

CONSTRAINTS = "constraints.txt"
OLDEST_PYTHON = "3.11"
HEADER = """\
# What `.[dev]` comes to on Linux and Python 3.11 to 3.13, in exact versions. CI installs with this file.
# Written by `python -m tfrec.dev constraints`; the versions that the package itself accepts are in setup.cfg.
"""
# pyproject.toml asks uv for these environments alone, so a marker need not repeat them.
_ALWAYS_TRUE = ("sys_platform == 'linux'", "python_full_version < '3.14'")


def renew_constraints(root: Path) -> int:
    """Resolves the `dev` extra anew, to the newest versions that fit together, and writes `constraints.txt`.

    Args:
        root: The checkout.

    Raises:
        Unavailable: uv found no versions that fit together, or could not reach the package index.
    """
    path = root / CONSTRAINTS
    before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    lines = pinned_lines(_resolve(root))
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    changed = [line for line in lines if line not in before]
    print("\n".join([f"{path}: {len(lines)} pins, {len(changed)} of them new", *changed]))
    return 0


def pinned_lines(resolved: str) -> list[str]:
    """The lines of the file: a marker stands only where a package has one version here and another there.

    Args:
        resolved: What uv printed: "name==version" or "name==version ; marker" a line.

    Example:
        >>> pinned_lines("a==1 ; sys_platform == 'linux'\\nb==1 ; python_full_version < '3.12'\\nb==2")
        ['a==1', "b==1 ; python_full_version < '3.12'", 'b==2']
    """
    pins = [line.partition(" ; ") for line in resolved.splitlines() if line.strip()]
    versions = Counter(_name(pin) for pin, _, _ in pins)
    return [
        f"{pin} ; {short}" if versions[_name(pin)] > 1 and (short := _short(marker)) else pin for pin, _, marker in pins
    ]


def _name(pin: str) -> str:
    return pin.partition("==")[0]


def _short(marker: str) -> str:
    """The marker without what is true wherever the file is used; as it is where it has alternatives."""
    if "(" in marker or " or " in marker:
        return marker
    return " and ".join(part for part in marker.split(" and ") if part not in _ALWAYS_TRUE)


def _resolve(root: Path) -> str:
    options = ["--universal", "--python-version", OLDEST_PYTHON, "--extra", "dev", "--no-header", "--no-annotate"]
    done = subprocess.run(
        _uv("pip", "compile", "--quiet", *options, "setup.cfg"), cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        raise Unavailable(f"uv found no versions for the extra `dev`: {done.stderr.strip() or 'it says nothing'}")
    return done.stdout


def _uv(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "uv", *arguments]
