"""Files and folders that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfrec.errors import InvalidInput
from tfrec.files.outputs import refuse_existing


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


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically: to a temporary file, which is then renamed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
