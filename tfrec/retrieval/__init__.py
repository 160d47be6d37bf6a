"""Top-k over the catalogue, exclusions and allow-lists, and the one `recommend` for all models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfrec.retrieval.recommend import recommend, top_k_numpy
from tfrec.retrieval.seen import should_exclude_seen

if TYPE_CHECKING:
    from tfrec.retrieval.top_k import TopK as TopK
    from tfrec.retrieval.top_k import TopKResult as TopKResult

__all__ = ["TopK", "TopKResult", "recommend", "should_exclude_seen", "top_k_numpy"]


def __getattr__(name: str) -> Any:
    if name in ("TopK", "TopKResult"):
        return getattr(importlib.import_module("tfrec.retrieval.top_k"), name)
    raise AttributeError(f"module 'tfrec.retrieval' has no attribute {name!r}")
