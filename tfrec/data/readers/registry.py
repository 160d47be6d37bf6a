"""Every reader by its name."""

from __future__ import annotations

import difflib

from tfrec.data.readers import amazon, movielens, music, news, reviews, shops, tools, video
from tfrec.data.readers.log_reader import LogReader
from tfrec.errors import InvalidInput

READERS: dict[str, LogReader] = {
    reader.name: reader
    for module in (movielens, amazon, news, reviews, music, shops, video, tools)
    for reader in module.READERS
}
"""Name to reader."""


def reader_named(name: str) -> LogReader:
    """The reader of this name; raises `InvalidInput` with the nearest one for another."""
    if name in READERS:
        return READERS[name]
    near = difflib.get_close_matches(name, READERS, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise InvalidInput(f"--as: there is no reader {name!r}.{meant} `tfrec prepare --as list` names them all.")
