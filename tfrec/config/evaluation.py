"""Options of `tfrec evaluate`."""

from __future__ import annotations

from pydantic import Field

from tfrec.config.base import Section


class EvaluationConfig(Section):
    """What is measured. Ranking metrics always rank the full catalogue."""

    exclude_seen: bool = Field(
        False,
        description="Leave the items of the history out of the ranking. By default nothing is masked, so that how the "
        "model treats seen items is part of what is measured; set it to compare with papers that mask.",
    )
    ks: list[int] = Field(
        default_factory=lambda: [10, 50], description="List lengths at which ranking metrics are computed."
    )
    bootstrap: int = Field(1000, ge=0, description="Bootstrap resamples for the confidence intervals; 0: no intervals.")
    negatives: int = Field(
        4, ge=1, description="Models that score one candidate, without impressions: sampled negatives a positive."
    )
    batch_size: int = Field(512, ge=1, description="Queries ranked at a time. Lower it when memory runs out.")
    most_users: int | None = Field(
        None,
        ge=1,
        description="Users of a split who are measured, drawn at random where there are more; null: all. For large "
        "catalogues: one core ranks a million items for some ten users a second, and baselines need as long.",
    )
    user_groups: list[str] = Field(
        default_factory=list, description="Columns of the users file by which metrics are broken down."
    )
    item_groups: list[str] = Field(
        default_factory=list,
        description="Columns of the items file by which metrics are broken down. An item of several labels (a "
        "list, or a|b) is in each of the groups.",
    )
    categories: str | None = Field(
        None,
        description="Item column of labels (several as a|b) for miscalibration@k, which compares the categories of "
        "list and history. null: not measured.",
    )
