"""What a person would want to know about a log and a catalogue, as lines for the console."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.ingest.event_log import Log
from tfrec.data.ingest.splits import Split
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput

UNMET = 0.01
"""Share of the events whose item is not in the catalogue from which on it is said."""
ONE_USER = 0.05
"""Share of the events from which on one user's is said; in a log of few users nothing is."""
DROPPED = 0.01
TIED = 0.01
_FEW = 1_000


def notices_of(log: Log, catalogue: pl.DataFrame, item_problems: dict[str, Any]) -> list[Notice]:
    """The lines for the console, of what was found once the log is cleaned.

    Raises:
        InvalidInput: No event at all meets an item of the catalogue, so the ids cannot be the same ones.
    """
    return [
        *_dropped(log.problems | log.dropped, log.rows_read, "events"),
        *_dropped(item_problems, catalogue.height + _count(item_problems), "items"),
        *_unmet(log, catalogue),
        *_one_user(log),
        *_kinds(log),
        *_damaged(log, catalogue),
    ]


def text_notices(texts: pl.Series, seq_length: int) -> list[Notice]:
    """How many texts are longer than what the encoder reads, and how many differ only in what it does not read.

    A word is at least one token, so this is the least that is cut.
    """
    words = texts.filter(texts.str.len_chars() > 2 * seq_length).str.split(" ")
    long = words.filter(words.list.len() > seq_length)
    if not len(long):
        return []
    openings = long.list.head(seq_length).list.join(" ")
    alike = int(openings.is_duplicated().sum()) - int(long.list.join(" ").is_duplicated().sum())
    more = f", and {alike:,} of them differ only in what is not read" if alike > 0 else ""
    return [
        Notice(
            f"items: {len(long):,} of {len(texts):,} texts have more than the {seq_length} tokens that are read{more} "
            "(encoder.seq_length).",
            alike > 0,
        )
    ]


def tie_notices(h: Histories, parts: Split, split: str) -> list[Notice]:
    """For how many users a tie in time decides which item a leave-one-out split holds out."""
    if split != schema.LEAVE_ONE_OUT or not len(parts.test.user):
        return []
    test, valid = parts.test.position, parts.valid.position
    target = np.flatnonzero(h.is_target)
    before = target[np.searchsorted(target, valid) - 1]  # who is held out of has three targets
    tied = (h.timestamps[test] == h.timestamps[valid]) | (h.timestamps[valid] == h.timestamps[before])
    share = float(tied.mean())
    if share <= TIED:
        return []
    return [Notice(f"For {share:.0%} of the users a tie in time decides which item is held out (data.ties).", True)]


def _count(problems: dict[str, Any]) -> int:
    return sum(problem["count"] for problem in problems.values())


def _dropped(problems: dict[str, Any], rows: int, what: str) -> list[Notice]:
    return [
        Notice(
            f"{what}: {problem['count']:,} of {rows:,} rows are dropped: {reason.replace('_', ' ')}, "
            f"e.g. {problem['examples'][0]}."
            if problem["examples"]
            else "",
            True,
        )
        for reason, problem in problems.items()
        if problem["count"] > DROPPED * rows
    ]


def _unmet(log: Log, catalogue: pl.DataFrame) -> list[Notice]:
    """How many events are of items that the catalogue does not have."""
    items = log.histories.items
    unmet = int((items >= catalogue.height).sum())
    if not catalogue.height or unmet <= UNMET * len(items):
        return []
    known, unknown = catalogue[schema.ITEM_ID][0], log.unknown_items[0]
    if unmet == len(items) and len(items) > _FEW // 50:
        raise InvalidInput(
            f"None of {len(items):,} events is of an item in the catalogue: the events have ids such as "
            f"{unknown!r}, the catalogue {known!r}. Check data.events.columns.item_id and data.items.columns.item_id."
        )
    return [
        Notice(
            f"{unmet:,} of {len(items):,} events ({unmet / len(items):.0%}) are of {len(log.unknown_items):,} "
            f"items that the catalogue does not have, e.g. {unknown!r}; these have no text.",
            True,
        )
    ]


def _one_user(log: Log) -> list[Notice]:
    h = log.histories
    most = int(np.argmax(h.lengths))
    share = h.lengths[most] / len(h.items)
    if len(h.items) < _FEW or share <= ONE_USER or len(h) < 2 / ONE_USER:
        return []
    return [Notice(f"events: user {h.user_ids[most]!r} has {share:.0%} of all events. Is that a person?", True)]


def _kinds(log: Log) -> list[Notice]:
    unknown = [k for k in log.kinds if k not in schema.EVENT_KINDS and k != "interaction"]
    if not unknown:
        return []
    shown = ", ".join(map(repr, unknown[:8])) + (", …" if len(unknown) > 8 else "")
    return [
        Notice(
            f"events: the kinds {shown} have no meaning of their own here, and are targets. "
            f"data.event_map={{{unknown[0]}: view}} gives them one.",
            True,
        )
    ]


def _damaged(log: Log, catalogue: pl.DataFrame) -> list[Notice]:
    """Characters that could not be decoded, wherever in a long file they are."""
    texts = [name for name, dtype in catalogue.schema.items() if dtype == pl.String]
    rows = catalogue.filter(pl.any_horizontal(pl.col(texts).str.contains("\ufffd"))).height if texts else 0
    ids = sum("\ufffd" in item for item in log.unknown_items)
    if not rows + ids:
        return []
    return [
        Notice(f"{rows:,} items hold characters that are no UTF-8 (U+FFFD). data.items.encoding=cp1252 may help.", True)
    ]
