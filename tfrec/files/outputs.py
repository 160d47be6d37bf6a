"""Where an output may be written, and which existing ones it may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfrec.errors import InvalidInput
from tfrec.files.leftovers import sweep

LONGEST_NAME = 200
"""Bytes of an output's name; file systems take 255, and temporary names are longer."""


class AlreadyExists(InvalidInput):
    """The output exists, and nobody asked to replace it."""


@dataclass(frozen=True)
class OutputKind:
    """A kind of folder that tfrec writes, and how one is known.

    Args:
        name: In words, e.g. "a run".
        markers: A JSON file that such a folder has, and the keys that it has at least. One of several is enough.
    """

    name: str
    markers: Mapping[str, Sequence[str]]

    def marks(self, folder: Path) -> bool:
        """Whether tfrec wrote `folder`, in this version or an older one."""
        return any(_has_keys(folder / file, keys) for file, keys in self.markers.items())


def _has_keys(file: Path, keys: Sequence[str]) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and set(keys) <= content.keys()


def check_output_folder(path: str | Path, kind: OutputKind, force: bool = False) -> None:
    """Refuses a path that the folder cannot have. Call it before any long work; `atomic_folder` checks again.

    Args:
        path: The folder to be written.
        kind: What will be written.
        force: Whether a folder of the same kind may be replaced, or an empty one.

    Raises:
        AlreadyExists: `path` exists and `force` is false.
        InvalidInput: `path` exists and is of another kind, or is no name for a folder.
    """
    path = Path(path)
    _check_place(path)
    sweep(path.parent, path.name)
    check_replaceable(path, kind, force)


def check_output_file(path: str | Path, force: bool = False) -> None:
    """Refuses a path that a file cannot have. Call it before any long work.

    Args:
        path: The file to be written, in an existing folder.
        force: Whether an existing file may be replaced.

    Raises:
        AlreadyExists: `path` exists and `force` is false.
        InvalidInput: `path` is no name for a file in an existing folder.
    """
    path = Path(path)
    _check_place(path)
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise InvalidInput(f"{path} is not a file in an existing folder. Choose another path.")
    if path.exists() and not force:
        raise AlreadyExists(f"{path} exists already. Choose another name, or pass --force to replace it.")


def check_replaceable(path: Path, kind: OutputKind, force: bool) -> None:
    """The part of `check_output_folder` that the work of others can change, so it is repeated after ours."""
    _refuse_link(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise InvalidInput(f"Expected a name for {kind.name}, {path} is a file. Choose another name.")
    if not force:
        raise AlreadyExists(f"{path} exists already. Choose another name, or pass --force to replace it.")
    if os.listdir(path) and not kind.marks(path):
        raise InvalidInput(
            f"--force replaces {kind.name}, and {path} is none: there is no {' or '.join(kind.markers)} of one. "
            "Choose another name, or delete it yourself."
        )


def _check_place(path: Path) -> None:
    """Refuses what is no name, and folders that nothing can be written to."""
    _refuse_link(path)
    if path.name in ("", "..") or "\0" in path.name or Path.cwd().is_relative_to(os.path.realpath(path)):
        raise InvalidInput(
            f"Expected a new name to write to, received {str(path)!r}: the current folder, or one above it. "
            "Choose a name in it."
        )
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InvalidInput(
            f"Expected a name of at most {LONGEST_NAME} bytes, received {path.name!r}. Choose a shorter one."
        )
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        reason = "you may not write there" if parent.is_dir() else f"{parent} is no folder"
        raise InvalidInput(f"{path} cannot be written: {reason}. Choose another place.")
    if os.path.ismount(path):
        raise InvalidInput(f"{path} is where a file system is mounted, so it cannot be replaced. Choose a name in it.")


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise InvalidInput(f"{path} is a link to {os.readlink(path)}. Pass what it points to, or remove the link.")
