"""Models that score items for a history: one folder per family of Keras models, and the baselines."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrec.models.click_ranker.model import ClickRanker as ClickRanker
    from tfrec.models.next_item.model import NextItemModel as NextItemModel
    from tfrec.models.next_item.scorer import NextItemScorer as NextItemScorer
    from tfrec.models.next_item.trainer import NextItemTrainer as NextItemTrainer

_PUBLIC = {
    "NextItemModel": "tfrec.models.next_item.model",
    "NextItemScorer": "tfrec.models.next_item.scorer",
    "NextItemTrainer": "tfrec.models.next_item.trainer",
    "BehaviourTextModel": "tfrec.models.behaviour_text.model",
    "BehaviourTextScorer": "tfrec.models.behaviour_text.scorer",
    "ClickRanker": "tfrec.models.click_ranker.model",
    "ClickRankerPredictor": "tfrec.models.click_ranker.predictor",
    "Scorer": "tfrec.retrieval.scorer",
    "Popularity": "tfrec.models.baselines.counting",
    "LastItemText": "tfrec.models.baselines.counting",
    "Cooccurrence": "tfrec.models.baselines.counting",
    "CooccurrenceText": "tfrec.models.baselines.counting",
    "RecentPopularity": "tfrec.models.baselines.counting",
    "RecentCooccurrence": "tfrec.models.baselines.counting",
    "Ease": "tfrec.models.baselines.ease_and_als",
    "Als": "tfrec.models.baselines.ease_and_als",
}

_DEPRECATED = {"ClickRankerJudge": "tfrec.models.deprecated"}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name) or _DEPRECATED.get(name)
    if module is not None:
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'tfrec.models' has no attribute {name!r}")
