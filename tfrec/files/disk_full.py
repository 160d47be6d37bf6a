"""A full disk, in whatever words a library puts it, as one message."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tfrec.errors import InvalidInput

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WORDS = re.compile(
    "No space left on device|Disk quota exceeded|File too large"
    rf"|(os error|errno =) ({'|'.join(map(str, _NUMBERS))})\b"  # Polars, HDF5
    r"|\d+ requested and \d+ written"  # NumPy
)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised for, says that a disk, a quota or a file-size limit is full."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return True
    return bool(_WORDS.search(str(error))) or is_disk_full(error.__cause__)


@contextlib.contextmanager
def disk_full_is_told(path: str | Path, kept: str | Callable[[], str] = "nothing was written.") -> Iterator[None]:
    """Raises `InvalidInput` where the work within fails because a disk is full. Other errors pass.

    Args:
        path: What is written.
        kept: What is left of it, as the end of the message; called when it is needed.
    """
    try:
        yield
    except InvalidInput:  # said already
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        left = kept if isinstance(kept, str) else kept()
        raise InvalidInput(f"No space left while writing {path}; {left}") from error


def check_space(path: Path, size: int) -> None:
    """Raises OSError unless `size` bytes can be written to a new file at `path`, of which nothing is left."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, max(size, 1))
    finally:
        os.close(descriptor)
        path.unlink()
