"""Atomic writes of files and folders, locks, JSON and hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput


def cache_dir() -> Path:
    """The cache for downloads and embeddings: `$TFREC_CACHE`, `$XDG_CACHE_HOME/tfrec` or `~/.cache/tfrec`."""
    if chosen := os.environ.get("TFREC_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfrec"


def refuse_existing(path: str | Path, force: bool = False) -> None:
    """Raises `InvalidInput` if `path` exists and `force` is false. Call it before any long work."""
    if Path(path).exists() and not force:
        raise InvalidInput(f"{path} exists already. Choose another name, or pass --force to replace it.")


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`, creating the folder if needed; other processes wait for it.

    On a file system without locks nothing is locked.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # the file system has no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_folder(path: str | Path, force: bool = False) -> Iterator[Path]:
    """Yields an empty temporary folder that is renamed to `path` on success and deleted on failure.

    A killed process leaves at most a folder named `.NAME.tmp-…`, never a half-written `path`.

    Args:
        path: Final path of the folder. The temporary folder is created in its parent.
        force: Whether to replace an existing `path`, once the new folder is complete.

    Raises:
        InvalidInput: `path` exists and `force` is false, or the disk is full.
    """
    path = Path(path)
    refuse_existing(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=path.parent))
    try:
        work.chmod(0o755)  # mkdtemp creates the folder with 0700, unreadable for a server under another user
        yield work
        old = None
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
            os.replace(path, old / path.name)
        os.replace(work, path)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error.filename2 is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InvalidInput(f"No space left while writing {path}; nothing was written.") from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON atomically, with the keys in their given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically: to a temporary file, which is then renamed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def read_json(path: str | Path) -> Any:
    """Reads a JSON file. Raises `InvalidInput` if it is missing or not valid JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from None


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: str | Path) -> str:
    """SHA-256 over the relative names and contents of all files below `path`, in name order, as hex."""
    root = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(root).as_posix()}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()
