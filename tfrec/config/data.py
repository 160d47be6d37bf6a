"""How a log and a catalogue are read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


class DataConfig(Section):
    """How a log and a catalogue become a PreparedDataset."""

    columns: dict[str, str] = Field(default_factory=dict, description="Our column name to yours, e.g. user_id: userId.")
    default_event: str = Field("interaction", description="Event kind of a log without an event column.")
    timestamp_unit: Literal["auto", "order", "s", "ms", "us"] = "auto"
    strict: bool = Field(False, description="Fail on invalid rows instead of dropping and counting them.")
    targets: list[str] | None = Field(None, description="Target kinds. None: all but return and tag.")
    text_template: str | None = Field(None, description="E.g. '{title} by {author}'. None: all string columns.")
    normalise_text: bool = Field(True, description="Strip HTML, unescape entities, fold whitespace, Unicode NFC.")
    near_duplicate_seconds: float | None = Field(None, ge=0, description="Same user, item, event within it: dropped.")
    max_events_per_minute: float | None = Field(None, gt=0, description="Users above it are dropped as not human.")
    min_user_events: int = Field(1, ge=1, description="k-core over users.")
    min_item_events: int = Field(1, ge=1, description="k-core over items.")
    normalise_ratings: bool = Field(False, description="Value of rating events minus the user's mean.")
    held_out_items: float = Field(0.0, ge=0, lt=1, description="Share of the items kept out of training: a cold slice.")
    valid_quantile: float = Field(0.8, gt=0, lt=1)
    test_quantile: float = Field(0.9, gt=0, lt=1)
