"""Options of `tfrec prepare`: how a log and a catalogue are read, cleaned and split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import COMMON, Section


class DataConfig(Section):
    """How events and items are read, cleaned and split into a PreparedDataset."""

    columns: dict[str, str] = Field(
        default_factory=dict, description="Names of your columns where they differ from ours, e.g. {user_id: userId}."
    )
    default_event: str = Field(
        "interaction", description="Kind given to every event of a log that has no `event` column."
    )
    timestamp_unit: Annotated[Literal["auto", "order", "s", "ms", "us"], COMMON] = Field(
        "auto",
        description="Unit of integer timestamps. auto: guessed from their median. order: the numbers only sort the "
        "events, so everything that needs a clock (time splits, time gaps, rate limits) is off.",
    )
    strict: bool = Field(False, description="Fail on invalid rows. By default they are dropped and counted.")
    targets: list[str] | None = Field(
        None, description="Event kinds that the model learns to predict. null: every kind but return and tag."
    )
    text_template: str | None = Field(
        None,
        description="How an item's text is put together from its columns, e.g. '{title} by {author}'. null: all string "
        "columns but the id, joined in file order.",
    )
    normalise_text: bool = Field(
        True, description="Clean item texts: strip HTML, unescape entities, collapse whitespace, Unicode NFC."
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
