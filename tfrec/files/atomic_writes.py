"""Files and folders that appear under their name whole or not at all, and replace nothing foreign."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tfrec.files.disk_full import disk_full_is_told
from tfrec.files.leftovers import delete_folder, name_beside, sweep
from tfrec.files.locks import lock
from tfrec.files.outputs import AlreadyExists, OutputKind, check_output_folder, check_replaceable

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""What a rename of a folder fails with if there is a folder that is not empty, or a file."""


@contextlib.contextmanager
def atomic_folder(
    path: str | Path, kind: OutputKind, force: bool = False, kept: contextlib.ExitStack | None = None
) -> Iterator[Path]:
    """Yields an empty temporary folder that gets the name `path` on success and is deleted on failure.

    A killed process leaves at most folders named `.NAME.tmp-…` and `.NAME.old-…`, never a half-written `path`; the next
    process that writes `path` clears them away.

    Args:
        path: Final path of the folder. The temporary folder is created in its parent.
        kind: What is written.
        force: Whether to replace an existing folder of this kind, or an empty one, once the new one is complete.
        kept: Keeps the lock of the folder, also under its new name; None frees it at the end.

    Raises:
        AlreadyExists: `path` exists, or appeared in the meantime, and `force` is false.
        InvalidInput: `path` may not be written, see `check_output_folder`, or the disk is full.
    """
    path = Path(path)
    check_output_folder(path, kind, force)
    with staged_folder(path, kept) as work:
        yield work
        publish(work, path, kind, force)


@contextlib.contextmanager
def staged_folder(path: Path, kept: contextlib.ExitStack | None = None) -> Iterator[Path]:
    """Yields an empty temporary folder beside `path`, for `publish`; it is deleted unless it was published.

    `kept` is as for `atomic_folder`.

    Raises:
        InvalidInput: The disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held, disk_full_is_told(path):
        work = _locked_beside(path, Path.mkdir, held if kept is None else kept)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def publish(work: Path, path: Path, kind: OutputKind, force: bool = False) -> None:
    """Gives a complete folder its name. What has the name is set aside before, and deleted after.

    Args:
        work: The complete folder, beside `path`.
        path: Its name from now on.
        kind: What it is.
        force: Whether to replace an existing folder of this kind, or an empty one.

    Raises:
        AlreadyExists: `path` exists and `force` is false.
        InvalidInput: `path` exists and is of another kind.
    """
    while True:  # until no other process comes between; what that wrote is looked at in turn
        is_there, old = path.exists(), name_beside(path, "old")
        check_replaceable(path, kind, force)
        try:
            if is_there:
                os.rename(path, old)
            os.rename(work, path)
            return
        except FileNotFoundError:
            if not work.is_dir():
                raise
        except OSError as error:
            if error.errno not in _TAKEN:
                if old.exists():
                    os.rename(old, path)
                raise
        finally:
            if path.exists():
                delete_folder(old)


@contextlib.contextmanager
def atomic_file(path: str | Path, *, replace: bool = True, durable: bool = False) -> Iterator[Path]:
    """Yields an empty temporary file that gets the name `path` on success and is deleted on failure.

    Args:
        path: Final path of the file, in an existing folder.
        replace: Whether to replace an existing file.
        durable: Whether the file has to survive a power cut right after this.

    Raises:
        AlreadyExists: `path` exists, or appeared in the meantime, and `replace` is false.
    """
    path = Path(path)
    sweep(path.parent, path.name)
    with contextlib.ExitStack() as held:
        work = _locked_beside(path, lambda new: new.touch(exist_ok=False), held)
        try:
            yield work
            if durable:
                _sync(work)
            if replace:
                os.replace(work, path)
            else:
                _rename_to_free_name(work, path)
            if durable:
                _sync(path.parent)
        finally:
            work.unlink(missing_ok=True)


@contextlib.contextmanager
def successor_file(path: Path) -> Iterator[Path]:
    """As `atomic_file`, of a file that is there: owner and mode stay, so that its writers and nobody else can go on."""
    with atomic_file(path) as work:
        old = path.stat()
        with contextlib.suppress(PermissionError):
            os.chown(work, old.st_uid, old.st_gid)
        work.chmod(stat.S_IMODE(old.st_mode))
        yield work


def write_text(path: str | Path, text: str, *, replace: bool = True, durable: bool = False) -> None:
    """Writes UTF-8 text atomically.

    Args:
        path: The file.
        text: Its content.
        replace: Whether to replace an existing file.
        durable: Whether it has to survive a power cut right after this.
    """
    with atomic_file(path, replace=replace, durable=durable) as work:
        work.write_text(text, encoding="utf-8")


def _locked_beside(path: Path, create: Callable[[Path], None], held: contextlib.ExitStack) -> Path:
    """Creates a temporary file or folder and locks it, so that no sweep of another process takes it for a leftover."""
    while True:
        work = name_beside(path)
        create(work)
        try:
            held.enter_context(lock(work))
        except (BlockingIOError, FileNotFoundError):  # a sweep came between
            continue
        except OSError:  # the file system has no locks, so nothing is swept there
            return work
        if work.exists():
            return work


def _rename_to_free_name(work: Path, path: Path) -> None:
    try:
        os.link(work, path)  # unlike a rename, it fails if the name is taken
    except FileExistsError:
        raise AlreadyExists(f"{path} appeared in the meantime, and was not replaced. Choose another name.") from None
    except OSError:  # the file system has no hard links
        if os.path.lexists(path):
            raise AlreadyExists(
                f"{path} appeared in the meantime, and was not replaced. Choose another name."
            ) from None
        os.replace(work, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
