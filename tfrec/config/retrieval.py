"""How scores become lists."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


class RetrievalConfig(Section):
    """How lists are made for people."""

    exclude_seen: Literal["auto", "true", "false"] = "auto"
    segment: str | None = Field(None, description="next-item: users column; newcomers get what is popular in theirs.")
    candidates: int = Field(100, ge=1, description="Items that the first stage hands to the second.")
    behaviour_weights: dict[str, float] = Field(
        default_factory=dict, description="Weights of the second stage's heads; those left out have 1 when none is set."
    )
    first_stage: float = Field(2.0, ge=0, description="Weight of the first stage's score, standardised a user.")
    chunk_size: int | None = Field(None, ge=1, description="Items scored at a time; None: by the batch, 65536 or more.")
