"""Sections of what is done with a model: evaluation, lists, exports, the nightly job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import Section


class EvaluationConfig(Section):
    """What is measured. Ranking is always over the full catalogue."""

    exclude_seen: bool = Field(False, description="Mask items of the history before ranking.")
    ks: list[int] = Field(default_factory=lambda: [10, 50])
    bootstrap: int = Field(1000, ge=0, description="Resamples for the confidence intervals; 0 for none.")
    negatives: int = Field(4, ge=1, description="Sigmoid head without impressions: negatives a positive.")
    batch_size: int = Field(512, ge=1)
    user_groups: list[str] = Field(default_factory=list, description="Columns of the users file to slice by.")
    item_groups: list[str] = Field(default_factory=list, description="Columns of the items file to slice by.")
    categories: str | None = Field(None, description="Item column whose labels (a|b) calibration compares.")


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


class ExportConfig(Section):
    """Fixed sizes of the served signatures."""

    max_k: int = Field(100, ge=1)
    history_length: int | None = Field(None, ge=1, description="None: as many events as the model reads.")
    exclude_length: int = Field(100, ge=1)
    candidates_length: int = Field(100, ge=1)
    allow_length: int = Field(16, ge=1)
    diversity: float = Field(0.0, ge=0, le=1, description="Strength of maximal marginal relevance; 0 for none.")
    filter_attribute: str | None = Field(None, description="Item column that recommend_filtered filters by.")
    index: Literal["exact", "int8", "ivf"] = Field("exact", description="How the best items are found.")
    index_lists: int | None = Field(None, ge=1, description="ivf: lists of items; None for about 8 √items.")
    index_probes: int | None = Field(
        None, ge=1, description="ivf: lists read. None: as few as hold 2 K items and reach index_recall."
    )
    index_recall: float = Field(0.98, ge=0, le=1, description="Least recall@10 against exact; below it, no export.")


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
