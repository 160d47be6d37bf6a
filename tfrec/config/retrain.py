"""Options of `tfrec retrain`: when data is refused and when a new model is promoted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tfrec.config.base import Section

RankingMetric = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map)@[1-9]\d*$")]
Guardrail = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map|coverage)@[1-9]\d*$")]


class RetrainConfig(Section):
    """When `tfrec retrain` refuses its data, when it promotes a new version, and how many versions it keeps."""

    metric: RankingMetric = Field(
        "ndcg@10", description="Metric by which a new model must be no worse; it is also a guardrail."
    )
    guardrails: list[Guardrail] = Field(
        default_factory=lambda: ["recall@10", "coverage@10"],
        description="Metrics that may not fall by more than `tolerance`.",
    )
    tolerance: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Loss that the confidence interval of a guardrail may include, as a share of the champion's value. "
        "Raise it where few users make intervals wide.",
    )
    beat_popularity: bool = Field(
        True, description="Whether the first version, which has no champion, must be no worse than popularity."
    )
    min_users: int = Field(30, ge=1, description="Promote nothing when fewer users have targets in the test window.")
    max_shrink: float = Field(
        0.2, ge=0, le=1, description="Largest share of the served run's items, or events, that may be missing."
    )
    max_unknown: float = Field(
        0.2, ge=0, le=1, description="Largest share of the new events whose items are in no catalogue."
    )
    max_psi: float = Field(
        0.5,
        ge=0,
        description="Largest population stability index of event kinds and values, beyond what chance explains.",
    )
    keep: int = Field(5, ge=2, description="Versions kept for a rollback, including the served one.")
    check: bool = Field(True, description="Run `tfrec check` on the export before it is served.")
