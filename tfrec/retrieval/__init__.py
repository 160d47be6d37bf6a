"""From scores to lists: exact and approximate top-k, exclusions and allow-lists, and `recommend` for any model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfrec.retrieval.approximate.recall import index_recall
from tfrec.retrieval.seen_items import should_exclude_seen
from tfrec.retrieval.top_items import recommend
from tfrec.retrieval.top_k_numpy import top_k_numpy
from tfrec.retrieval.two_stage_scorer import TwoStage

if TYPE_CHECKING:
    from tfrec.retrieval.approximate.int8_index import Int8Index
    from tfrec.retrieval.approximate.ivf_index import IvfIndex
    from tfrec.retrieval.approximate.kmeans import cluster
    from tfrec.retrieval.chunked_scan import TopKResult
    from tfrec.retrieval.mmr import diversify
    from tfrec.retrieval.tfrs_top_k import TfrsTopK
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
    "Int8Index": "tfrec.retrieval.approximate.int8_index",
    "IvfIndex": "tfrec.retrieval.approximate.ivf_index",
    "cluster": "tfrec.retrieval.approximate.kmeans",
    "TopK": "tfrec.retrieval.top_k",
    "TopKResult": "tfrec.retrieval.chunked_scan",
    "diversify": "tfrec.retrieval.mmr",
    "TfrsTopK": "tfrec.retrieval.tfrs_top_k",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tfrec.retrieval' has no attribute {name!r}")
