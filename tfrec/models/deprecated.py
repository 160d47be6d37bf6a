"""Deprecated names of the models; CONTRIBUTING.md says how long they stay."""

from __future__ import annotations

import warnings

from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerPredictor


class ClickRankerJudge(ClickRankerPredictor):
    """Deprecated: the old name of `ClickRankerPredictor`."""

    def __init__(self, model: ClickRanker, batch_size: int = 512) -> None:
        warnings.warn(
            "ClickRankerJudge is deprecated and goes in tfrec 0.4; use ClickRankerPredictor.",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(model, batch_size)
