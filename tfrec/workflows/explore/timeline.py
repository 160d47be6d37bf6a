"""A history as events with their kinds and, if the data has timestamps, their dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PastEvent:
    """An event of a history.

    Args:
        item_id: The item.
        kind: The kind of the event.
        when: Its time (UTC); None for an event added on the page, or if the data has no timestamps.
    """

    item_id: str
    kind: str
    when: datetime | None = None


def events_of(dataset: PreparedDataset, user_id: str) -> list[PastEvent]:
    """The events of a user, oldest first; raises `InvalidInput` if the user is unknown."""
    histories = dataset.histories()
    rows = (histories.user_ids == user_id).nonzero()[0]
    if not len(rows):
        raise InvalidInput(f"The data has no user {user_id!r}. Choose one of its {len(histories):,} users.")
    row = histories.row(int(rows[0]))
    times = histories.timestamps[row].tolist()
    whens = [_time(time) if histories.clock else None for time in times]
    ids, kinds = dataset.item_ids[histories.items[row]], histories.events[row]
    return [PastEvent(str(item), dataset.event_kinds[kind], when) for item, kind, when in zip(ids, kinds, whens)]


def _time(microseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:  # A timestamp beyond the year 9999 is wrong, but the event can still be shown.
        return None
