"""The one reader of everything a person gives: events, items, users, exposures, outcomes, new items, lists of ids."""

from tfrec.data.reading.frames import collect, collect_all, columns_of, require
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.reader import Input, Source, read_ids, read_input

__all__ = ["Input", "Notice", "Source", "collect", "collect_all", "columns_of", "read_ids", "read_input", "require"]
