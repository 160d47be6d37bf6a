"""How a run is exported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


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
