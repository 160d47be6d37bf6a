"""Options of `tfrec export` and `tfrec index`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import COMMON, Section


class ExportConfig(Section):
    """Sizes of the served signatures, which are fixed at export, and the index inside the export."""

    max_k: Annotated[int, COMMON] = Field(
        100, ge=1, description="Items that `recommend` returns; clients cut the list to what they need."
    )
    history_length: int | None = Field(
        None, ge=1, description="Events of a history that a request holds. null: as many as the model reads."
    )
    exclude_length: int = Field(100, ge=1, description="Item ids that a request may exclude.")
    candidates_length: int = Field(100, ge=1, description="Candidates of one `rank` request.")
    explain_length: int = Field(10, ge=0, description="Items of one `explain` request. 0: no such signature.")
    allow_length: int = Field(16, ge=1, description="Attribute values of one `recommend_filtered` request.")
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of diversity when lists are re-ranked by maximal marginal relevance; 0 leaves the order "
        "by score.",
    )
    filter_attribute: str | None = Field(
        None, description="Item column that `recommend_filtered` filters by. null: no such signature."
    )
    index: Literal["exact", "int8", "ivf"] = Field(
        "exact",
        description="How the best items are found. exact scores every item; ivf (inverted lists) and int8 are "
        "approximate. Consider ivf from some hundred thousand items on.",
    )
    item_table: Literal["float32", "int8", "pq"] = Field(
        "float32",
        description="How item vectors are stored: int8 takes a quarter, pq (product quantisation) 1/30 and a code "
        "book. Lists change a little; the export says how much. With `export.index=exact` only.",
    )
    index_lists: int | None = Field(
        None, ge=1, description="ivf: lists that the items are divided into. null: about 8 √items."
    )
    index_probes: int | None = Field(
        None,
        ge=1,
        description="ivf: lists searched for a query. null: as few as hold 2 K items and reach `export.index_recall`.",
    )
    index_recall: float = Field(
        0.98,
        ge=0,
        le=1,
        description="Lowest acceptable recall@10 of the index against the exact scan; below it nothing is written.",
    )
