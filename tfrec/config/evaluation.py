"""How a run is evaluated."""

from __future__ import annotations

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
