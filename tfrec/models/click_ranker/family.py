"""The click-ranker family: predicts what a user does with given candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.click_ranker.evaluate import evaluate_click_ranker
from tfrec.models.click_ranker.fit import fit_click_ranker
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.family import Ability, FitContext, ModelFamily, TrainedRun
from tfrec.retrieval.scorer import Scorer
from tfrec.training.fit_result import FitResult


class ClickRankerFamily(ModelFamily):
    """The second of two stages: predicts the probability of each behaviour for each candidate."""

    name = "click-ranker"
    abilities = frozenset({Ability.RANK_CANDIDATES})
    export_module = "tfrec.serving.exporting.export_click_ranker"

    def reads_text(self, config: RunConfig) -> bool:
        """True with `model.use_text`."""
        return config.model.use_text

    def reads_text_vectors(self, config: RunConfig) -> bool:
        """True with `model.use_text`."""
        return config.model.use_text

    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """Fits on frozen text vectors; see `fit_click_ranker`."""
        return fit_click_ranker(dataset, context.text_vectors, config, workdir=workdir, resume=context.resume)

    def build_model(self, run: TrainedRun) -> ClickRanker:
        """Builds the model from the run's manifest."""
        return ClickRanker.from_config(run.manifest["model"])

    def scorer(self, run: TrainedRun) -> Scorer:
        """Raises `InvalidInput`: a click-ranker does not rank the catalogue."""
        raise InvalidInput(
            "A click-ranker scores given candidates and does not rank the catalogue. "
            "Put it behind a next-item run, with --ranker."
        )

    def evaluate(self, run: TrainedRun, dataset: PreparedDataset, split: str) -> dict[str, Any]:
        """Metrics of each behaviour and their means; see `evaluate_click_ranker`."""
        return evaluate_click_ranker(run.model, dataset, split, run.config)

    def item_vectors(self, model: Any) -> np.ndarray:
        """float32 `[num_items, dim]`, text and id vectors combined."""
        return model.items.vectors().numpy()
