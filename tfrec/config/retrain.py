"""The nightly retraining job: what is compared and when a new model is promoted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tfrec.config.base import Section

RankingMetric = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map)@[1-9]\d*$")]
Guardrail = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map|coverage)@[1-9]\d*$")]


class RetrainConfig(Section):
    """When the nightly job refuses its data, when it promotes, and what it keeps."""

    metric: RankingMetric = Field("ndcg@10", description="Must not fall, and is a guardrail too.")
    guardrails: list[Guardrail] = Field(default_factory=lambda: ["recall@10", "coverage@10"])
    tolerance: float = Field(
        0.1, ge=0, lt=1, description="Share of the champion's value that intervals may reach below."
    )
    beat_popularity: bool = Field(True, description="Whether the first version has to pass the gate beside popularity.")
    min_users: int = Field(30, ge=1, description="Fewer in the newest window: nothing is promoted.")
    max_shrink: float = Field(0.2, ge=0, le=1, description="Share of the last catalogue, or log, that may be gone.")
    max_unknown: float = Field(0.2, ge=0, le=1, description="Share of new events on items of no catalogue.")
    max_psi: float = Field(0.5, ge=0, description="Shift of behaviours and values beyond chance.")
    keep: int = Field(5, ge=2, description="Versions kept for a rollback, the served one included.")
    check: bool = Field(True, description="Whether the export is loaded as a server would before it is labelled.")
