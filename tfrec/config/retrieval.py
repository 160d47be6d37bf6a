"""Options of how scores become lists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tfrec.config.base import COMMON, Section


class RetrievalConfig(Section):
    """How lists are made, in `tfrec recommend` and in exports alike."""

    exclude_seen: Annotated[Literal["auto", "true", "false"], COMMON] = Field(
        "auto",
        description="Whether items of the history are left out of lists. auto: yes, unless at least 1% of the "
        "validation targets are repeats.",
    )
    only_catalogue: bool = Field(
        True,
        description="Whether items that occur in the log but not in the catalogue are left out of lists. They count in "
        "histories either way.",
    )
    segment: str | None = Field(
        None,
        description="next-item: column of the users file; users without a history get what is popular in their "
        "segment. null: what is popular overall.",
    )
    candidates: int = Field(100, ge=1, description="Second stage: candidates that the first stage hands over.")
    behaviour_weights: dict[str, float] = Field(
        default_factory=dict,
        description="Second stage: weight of each behaviour's probability in the score. Without any all have 1; once "
        "one is given, the others have 0.",
    )
    first_stage: float = Field(
        2.0,
        ge=0,
        description="Second stage: weight of the first stage's score, standardised for each user. 0: the ranker alone.",
    )
    chunk_size: int | None = Field(
        None,
        ge=1,
        description="Items scored at a time. null: chosen by the batch size, at least 65536. Lower it when memory runs "
        "out.",
    )

    @field_validator("exclude_seen", mode="before")
    @classmethod
    def _bool_as_string(cls, value: Any) -> Any:
        """Accepts the booleans of YAML and Python for the strings that are stored."""
        return str(value).lower() if isinstance(value, bool) else value
