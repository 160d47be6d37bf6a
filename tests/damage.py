"""What happens to files: cut short, emptied, overwritten. What each loader must find out."""

import json
import shutil
from pathlib import Path

import numpy as np

from tfrec.errors import InvalidInput


def truncated(content):
    return content[: len(content) // 2]


def emptied(content):
    return b""


def overwritten(content):
    return np.random.default_rng(0).bytes(len(content))


def of_another_type(content):
    return b"[]\n"


DAMAGES = (truncated, emptied, overwritten, of_another_type)


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def without_checksums(folder, manifest):
    """Makes a folder one of an older version, which recorded no hashes."""
    content = json.loads((folder / manifest).read_text())
    del content["files"]
    (folder / manifest).write_text(json.dumps(content))
    return folder


def outcomes(folder, load, scratch, damages=DAMAGES, names=None):
    """What `load` does with a copy of a folder in which one file is damaged: file and damage to error or None.

    Whatever a loader raises that is no `InvalidInput` comes out of here.
    """
    found = {}
    for name in names or files_of(folder):
        for damage in damages:
            copy = shutil.copytree(folder, scratch / "copy")
            content = (copy / name).read_bytes()
            (copy / name).write_bytes(damage(content))
            try:
                load(copy)
                found[name, damage.__name__] = None
            except InvalidInput as error:
                found[name, damage.__name__] = str(error)
            shutil.rmtree(copy)
    return found


def passed(found):
    return sorted(case for case, error in found.items() if error is None)
