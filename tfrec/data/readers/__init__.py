"""Readers of well-known logs as they are downloaded: `tfrec prepare --as NAME`."""

from tfrec.data.readers.apply import ReadAs, read_as
from tfrec.data.readers.log_reader import LogReader
from tfrec.data.readers.registry import READERS, reader_named

__all__ = ["READERS", "LogReader", "ReadAs", "read_as", "reader_named"]
