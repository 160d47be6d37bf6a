"""The versions in a model folder: what is named by a number that TF Serving can hold."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from tfrec.errors import InvalidInput

MAX_VERSION: Final = 2**63 - 1
"""Versions are int64 in TF Serving's protocol."""

_KINDS: Final = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_log = logging.getLogger("tfrec.serving")


def version_folders(folder: Path) -> dict[int, Path]:
    """Paths by version number; a name may have leading zeros. A number beyond int64 is ignored with a warning.

    Raises:
        OSError: the folder cannot be read.
    """
    versions = {}
    for path in sorted(folder.iterdir()):  # "1" comes after "01" and wins
        if not (path.name.isascii() and path.name.isdecimal()):
            continue
        if int(path.name) > MAX_VERSION:
            _warn_once(path)
        else:
            versions[int(path.name)] = path
    return versions


@lru_cache(maxsize=1000)  # a server looks every two seconds
def _warn_once(path: Path) -> None:
    _log.warning("%s is ignored: expected a version of at most %d, as TensorFlow Serving takes", path, MAX_VERSION)


def servable_versions(folder: Path) -> dict[int, Path]:
    """Paths of the versions with a SavedModel, of whatever kind its file is."""
    return {n: path for n, path in version_folders(folder).items() if os.path.lexists(path / "saved_model.pb")}


def refuse_special_files(folder: Path) -> None:
    """Raises `InvalidInput` if a pipe, a socket or a device is below `folder`: whoever reads one may wait for ever."""
    for path in _files_below(folder):
        try:
            kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
        except OSError:  # a link to nothing is nobody's to wait for
            continue
        if kind:
            raise InvalidInput(
                f"Expected plain files in {folder}; {path.relative_to(folder)} is a {kind}. Export the version again."
            )


def _files_below(folder: Path) -> Iterator[Path]:
    """All files, through links to folders as well, each folder once."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        about = os.stat(root)
        if (about.st_dev, about.st_ino) in seen:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        yield from (Path(root, name) for name in files)
