"""Scores to lists: exact and approximate top-k, exclusions and allow-lists, and the one `recommend` for all models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfrec.retrieval.recall import index_recall
from tfrec.retrieval.recommend import recommend
from tfrec.retrieval.seen import should_exclude_seen
from tfrec.retrieval.top_k_numpy import top_k_numpy
from tfrec.retrieval.two_stage import TwoStage

if TYPE_CHECKING:
    from tfrec.retrieval.clusters import cluster
    from tfrec.retrieval.diversity import diversify
    from tfrec.retrieval.int8 import Int8Index
    from tfrec.retrieval.ivf import IvfIndex
    from tfrec.retrieval.scan import TopKResult
    from tfrec.retrieval.tfrs import TfrsTopK
    from tfrec.retrieval.top_k import TopK

__all__ = [
    "Int8Index",
    "IvfIndex",
    "TfrsTopK",
    "TopK",
    "TopKResult",
    "TwoStage",
    "cluster",
    "diversify",
    "index_recall",
    "recommend",
    "should_exclude_seen",
    "top_k_numpy",
]

_LAZY = {
    "Int8Index": "tfrec.retrieval.int8",
    "IvfIndex": "tfrec.retrieval.ivf",
    "cluster": "tfrec.retrieval.clusters",
    "TopK": "tfrec.retrieval.top_k",
    "TopKResult": "tfrec.retrieval.scan",
    "diversify": "tfrec.retrieval.diversity",
    "TfrsTopK": "tfrec.retrieval.tfrs",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tfrec.retrieval' has no attribute {name!r}")
