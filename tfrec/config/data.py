"""Options of `tfrec prepare`: how a log and a catalogue are read, cleaned and split."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import COMMON, Section
from tfrec.config.inputs import InputConfig


class DataConfig(Section):
    """How events and items are read, cleaned and split into a PreparedDataset."""

    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Names of your columns where they differ from ours, in any input, e.g. {user_id: userId}.",
    )
    events: InputConfig = Field(default_factory=InputConfig, description="How the log is read.")
    items: InputConfig = Field(default_factory=InputConfig, description="How the catalogue is read.")
    users: InputConfig = Field(default_factory=InputConfig, description="How the attributes of users are read.")
    item_columns: list[str] = Field(
        default_factory=list, description="Columns of the log that describe the item, where there is no catalogue."
    )
    event_map: dict[str, str] = Field(
        default_factory=dict, description="Event kinds as the log writes them to ours, e.g. {3: purchase}."
    )
    default_event: str = Field(
        "interaction", description="Kind given to every event of a log that has no `event` column."
    )
    timestamp_unit: Annotated[Literal["auto", "order", "s", "ms", "us", "ns"], COMMON] = Field(
        "auto",
        description="Unit of integer timestamps. auto: from their size. order: the numbers only sort the "
        "events, so everything that needs a clock (time splits, time gaps, rate limits) is off.",
    )
    earliest: date = Field(date(1990, 1, 1), description="Earlier times are wrong: dropped if few, refused if many.")
    latest: date | None = Field(None, description="Later times are wrong, as for earliest. null: tomorrow.")
    until: datetime | None = Field(
        None,
        description="Events from this time on (UTC, e.g. 2026-01-31T12:00) are left out, as if the log ended there. "
        "null: all are read.",
    )
    max_age: float | None = Field(
        None,
        gt=0,
        description="Events that are more days older than the newest one are left out, so that no more is kept than is "
        "needed. null: all are read.",
    )
    pseudonym_key: str | None = Field(
        None,
        description="File with a key a line, 64 hexadecimal digits each: users get pseudonyms (HMAC) in place of their "
        "ids. Keep it apart from the data. null: ids as they are.",
    )
    scrub_contacts: bool = Field(
        False,
        description="Take e-mail addresses and phone numbers out of the columns of the items (extra `scrub`). Names of "
        "people stay.",
    )
    scrub_region: str | None = Field(
        None,
        description="Country of two letters, such as DE, whose phone numbers are found without their country code too.",
    )
    null_words: list[str] = Field(
        ["NA", "N/A", "null", "NULL", "None", "nan", "NaN", "\\N", "(not set)", "undefined", "-1"],
        description="Words that stand for a missing id; an item of the catalogue may be called so.",
    )
    positive: float | Literal["auto", "all"] = Field(
        "auto",
        description="Ratings below it become events of the kind dislike, which are never targets. auto: below 0 where "
        "some are, and 0 where all are 0 or 1. all: none are negative.",
    )
    strict: bool = Field(
        False, description="Fail on invalid rows and on every warning. By default rows are dropped and counted."
    )
    targets: list[str] | None = Field(
        None,
        description="Event kinds that the model learns to predict. null: every kind but return, tag, impression and "
        "dislike.",
    )
    text_template: str | None = Field(
        None,
        description="How an item's text is put together from its columns, e.g. '{title} by {author}'. null: all string "
        "columns but the id, joined in file order.",
    )
    normalise_text: bool = Field(
        True, description="Clean item texts: strip HTML, unescape entities, collapse whitespace, Unicode NFC."
    )
    exact_duplicates: Literal["drop", "keep"] = Field(
        "drop",
        description="What becomes of rows that equal another in every column. keep: where each is one more piece.",
    )
    ties: Literal["drawn", "file"] = Field(
        "drawn",
        description="Order of a user's events at one time. drawn: a seeded hash of the ids, whatever the file's order. "
        "file: as they stand in the file, where that is the order of time.",
    )
    near_duplicate_seconds: float | None = Field(
        None,
        ge=0,
        description="Drop an event that repeats one of the same user, item and kind within this many seconds. null: "
        "keep all. Set it where a log records double clicks.",
    )
    max_events_per_minute: float | None = Field(
        None,
        gt=0,
        description="Drop users who ever exceed this many events in 60 seconds, as bots. null: keep all.",
    )
    min_user_events: int = Field(
        1, ge=1, description="Drop users with fewer events (k-core, repeated together with min_item_events)."
    )
    min_item_events: int = Field(1, ge=1, description="Drop the events of items that have fewer (k-core).")
    normalise_ratings: bool = Field(False, description="Subtract each user's mean rating from the values of ratings.")
    held_out_items: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the items whose events are kept out of training, to measure how well cold items are "
        "recommended (`slices.cold_items`).",
    )
    valid_quantile: float = Field(
        0.8, gt=0, lt=1, description="global-time split: validation starts at this quantile of the event times."
    )
    test_quantile: float = Field(
        0.9, gt=0, lt=1, description="global-time split: the test window starts at this quantile of the event times."
    )

    def written(self, what: str, name: str) -> str:
        """What the column map of an input says one of our columns is."""
        section: InputConfig = getattr(self, what)
        given = section.columns.get(name) or self.columns.get(name) or name
        return given if isinstance(given, str) else "|".join(given)
