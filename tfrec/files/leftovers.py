"""The temporary names beside an output, and the sweep of what killed processes left under them.

`.NAME.tmp-XXXXXXXX` is being written or deleted, so it is locked by a living process or worth nothing.
`.NAME.old-XXXXXXXX` is a whole folder that was set aside for its successor. Folders are renamed to a temporary name
before they are deleted, so under every other name they are whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Literal

from tfrec.files.locks import lock
from tfrec.progress import say

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<stage>tmp|old)-[a-z0-9_]{8}", re.DOTALL)


def name_beside(path: Path, stage: Literal["tmp", "old"] = "tmp") -> Path:
    """A new temporary name in the folder of `path`, an output or itself a leftover of one."""
    match = _LEFTOVER.fullmatch(path.name)
    return path.with_name(f".{match['name'] if match else path.name}.{stage}-{secrets.token_hex(4)}")


def delete_folder(path: Path) -> None:
    """Deletes a folder, if it exists. Whoever looks, or kills this process, finds it whole or not at all."""
    going = name_beside(path)
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, going)
        shutil.rmtree(going, ignore_errors=True)


def sweep(folder: Path, name: str | None = None) -> None:
    """Deletes what killed processes left in `folder`; an output that they had set aside gets its name back.

    What a living process holds stays, and so does everything on a file system without locks.

    Args:
        folder: The folder of the outputs; it need not exist.
        name: The output whose leftovers are meant; None for those of all outputs.
    """
    for leftover in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _LEFTOVER.fullmatch(leftover.name)
        if match and name in (None, match["name"]):
            with contextlib.suppress(OSError), lock(leftover):
                _restore_or_delete(leftover, folder / match["name"], match["stage"])


def _restore_or_delete(leftover: Path, path: Path, stage: str) -> None:
    if stage == "old" and not os.path.lexists(path):
        inner = leftover / path.name  # where version 0.2 put the folder
        whole = inner if os.listdir(leftover) == [path.name] else leftover
        os.rename(whole, path)
        say(f"{path} is back: a process was killed while it replaced it.")
    if leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)
