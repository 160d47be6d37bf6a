"""Scores to lists: exact top-k with exclusions and allow-lists, and the one `recommend` for all models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfrec.retrieval.recommend import recommend
from tfrec.retrieval.seen import should_exclude_seen
from tfrec.retrieval.top_k_numpy import top_k_numpy
from tfrec.retrieval.two_stage import TwoStage

if TYPE_CHECKING:
    from tfrec.retrieval.diversity import diversify
    from tfrec.retrieval.tfrs import TfrsTopK
    from tfrec.retrieval.top_k import TopK, TopKResult

__all__ = ["TfrsTopK", "TopK", "TopKResult", "TwoStage", "diversify", "recommend", "should_exclude_seen", "top_k_numpy"]

_NEEDS_TENSORFLOW = {
    "TopK": "tfrec.retrieval.top_k",
    "TopKResult": "tfrec.retrieval.top_k",
    "diversify": "tfrec.retrieval.diversity",
    "TfrsTopK": "tfrec.retrieval.tfrs",
}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TENSORFLOW:
        return getattr(importlib.import_module(_NEEDS_TENSORFLOW[name]), name)
    raise AttributeError(f"module 'tfrec.retrieval' has no attribute {name!r}")
