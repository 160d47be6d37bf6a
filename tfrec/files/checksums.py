"""SHA-256 of files: recorded when a folder is written, computed again when one of them is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tfrec.files import file_sha256


class FileState(NamedTuple):
    """What changes when a file is written to; equal states mean an unchanged file, within one process."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def file_state(path: str | Path) -> FileState:
    """The state of a file; raises `OSError` if there is none."""
    status = os.stat(path)
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hex. A file that has not changed since is not read twice by one process.

    What was computed is remembered in memory only: a hash that lies on a disk proves nothing.
    """
    return _sha256(str(path), file_state(path))


@lru_cache(maxsize=4096)
def _sha256(path: str, state: FileState) -> str:
    return file_sha256(path)


def checksums(folder: str | Path, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """Relative name to SHA-256 of each file below a folder, in name order, for its manifest.

    Args:
        folder: The folder.
        leave_out: Relative names of files and folders to skip: the manifest itself, and what is no part of the result.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "empty").write_bytes(b"")
        >>> {name: digest[:8] for name, digest in checksums(folder).items()}
        {'empty': 'e3b0c442'}
    """
    root, skipped = Path(folder), set(leave_out)
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    kept = {
        name: path for name, path in files.items() if not skipped & {part.as_posix() for part in (name, *name.parents)}
    }
    return {name.as_posix(): sha256_of(path) for name, path in sorted(kept.items())}


def folder_checksum(folder: str | Path) -> str:
    """SHA-256 over the relative names and contents of all files below a folder, as hex."""
    lines = (f"{name}\0{digest}\n" for name, digest in checksums(folder).items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
