"""Files of lines that one process appends to while another takes lines out, or deletes them: no line is lost.

Whoever appends, replaces or deletes first locks the file that has the name at that moment. What was waiting for a file
that has been replaced goes on with the new one. Taking lines out needs the lock only for what was appended since it
began, so that nobody waits for long. On a file system without locks nothing is locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tfrec.files.atomic_writes import successor_file


def append_line(path: Path, line: bytes) -> None:
    """Writes a line at the end of a file, which is made for its owner alone if there is none.

    Raises:
        OSError: The line cannot be written. No part of it stays: the lines of a file can all be read.
    """
    with _locked(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as target:
        written = os.write(target, line)
        if written < len(line):
            _take_back(target, written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def delete_lines_file(path: Path) -> None:
    """Deletes a file, if there is one."""
    with contextlib.suppress(FileNotFoundError), _locked(path, os.O_RDONLY):
        path.unlink()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines that a file has now, none of them half written; none if it is gone."""
    try:
        with _locked(path, os.O_RDONLY) as handle:
            file, size = os.fdopen(os.dup(handle), "rb"), os.fstat(handle).st_size
    except FileNotFoundError:
        return
    with file:
        while (left := size - file.tell()) > 0:
            yield file.readline(left)


def remove_lines(path: Path, goes: Callable[[bytes], bool]) -> int:
    """Takes lines out of a file; those that stay are as they were. Without such lines it is not touched.

    Args:
        path: The file. Whose it is and who may read it stays as it is.
        goes: Whether a line is to go. It is asked up to twice.

    Returns:
        How many went.
    """
    while any(goes(line) for line in lines_of(path)):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            return _rewritten(path, file, goes)
    return 0


def _rewritten(path: Path, file: BinaryIO, goes: Callable[[bytes], bool]) -> int:
    """Puts the lines of `file` that stay into the place of `path`; how many went.

    Raises:
        FileNotFoundError: Another process has put another file in its place, or deleted it.
    """
    count = 0
    with contextlib.ExitStack() as until_renamed, successor_file(path) as work, work.open("wb") as rest:
        while (line := file.readline()).endswith(b"\n"):
            count += _left_out(line, goes, rest)
        file.seek(-len(line), os.SEEK_CUR)  # it may be half written
        handle = until_renamed.enter_context(_locked(path, os.O_RDONLY))
        if not os.path.samestat(os.fstat(handle), os.fstat(file.fileno())):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        count += sum(_left_out(line, goes, rest) for line in file)
    return count


def _left_out(line: bytes, goes: Callable[[bytes], bool], rest: BinaryIO) -> bool:
    """Writes a line that stays; whether it does not."""
    left_out = goes(line)
    if not left_out:
        rest.write(line)
    return left_out


@contextlib.contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """Opens and locks the file that has a name; as long as it is held, none that asks for the lock changes that.

    Raises:
        FileNotFoundError: There is none, and `flags` are not to make it.
    """
    while True:
        handle = os.open(path, flags, 0o600)
        try:
            with contextlib.suppress(OSError):  # the file system has no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _has_name(handle, path):
                yield handle
                return
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)  # closing does not free it while a copy is open
            os.close(handle)


def _has_name(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _take_back(target: int, written: int) -> None:
    """Cuts off what was just written at the end of a file, unless another process has gone on after it."""
    end = os.lseek(target, 0, os.SEEK_CUR)
    if os.fstat(target).st_size == end:
        os.ftruncate(target, end - written)
