"""Explanation: why an item is in a list, and how true the reason is."""

import importlib
from typing import Any

_PUBLIC = {
    "explain": "tfrec.explanation.explain_lists",
    "RankingReasons": "tfrec.explanation.ranker_features",
    "Shares": "tfrec.explanation.shapley",
    "explain_groups": "tfrec.explanation.grouped_events",
    "explain_neighbours": "tfrec.explanation.neighbours",
    "explain_ranking": "tfrec.explanation.ranker_features",
    "explain_words": "tfrec.explanation.words",
    "measure_faithfulness": "tfrec.explanation.faithfulness.measure",
    "surrogate_rules": "tfrec.explanation.surrogate.surrogate_rules",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec.explanation' has no attribute {name!r}")
