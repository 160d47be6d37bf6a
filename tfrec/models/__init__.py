"""History and candidates to scores: functional Keras models, and the baselines."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrec.models.click_ranker import ClickRanker as ClickRanker
    from tfrec.models.next_item import NextItemModel as NextItemModel
    from tfrec.models.next_item_scorer import NextItemScorer as NextItemScorer

_PUBLIC = {
    "NextItemModel": "tfrec.models.next_item",
    "NextItemScorer": "tfrec.models.next_item_scorer",
    "BehaviourTextModel": "tfrec.models.behaviour_text",
    "BehaviourTextScorer": "tfrec.models.behaviour_scorer",
    "ClickRanker": "tfrec.models.click_ranker",
    "ClickRankerJudge": "tfrec.models.click_ranker_judge",
    "Scorer": "tfrec.models.scorer",
    "Popularity": "tfrec.models.baselines",
    "LastItemText": "tfrec.models.baselines",
    "Cooccurrence": "tfrec.models.baselines",
    "CooccurrenceText": "tfrec.models.baselines",
    "Ease": "tfrec.models.trained_baselines",
    "Als": "tfrec.models.trained_baselines",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec.models' has no attribute {name!r}")
