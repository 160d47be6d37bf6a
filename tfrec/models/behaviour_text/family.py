"""The behaviour-text family: predicts from a text that describes what a user did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.behaviour_text.evaluate import evaluate_behaviour_text_sigmoid
from tfrec.models.behaviour_text.fit import fit_behaviour_text
from tfrec.models.behaviour_text.fit_private import fit_private
from tfrec.models.behaviour_text.model import BehaviourTextModel, build_behaviour_text_model
from tfrec.models.behaviour_text.private_settings import private_settings
from tfrec.models.behaviour_text.scorer import BehaviourTextScorer
from tfrec.models.family import Ability, FitContext, ModelFamily, TrainedRun
from tfrec.models.shared.unread_impressions import without_unread
from tfrec.training.fit_result import FitResult


class BehaviourTextFamily(ModelFamily):
    """The softmax head ranks the catalogue; the sigmoid head gives the probability of one candidate."""

    name = "behaviour-text"
    abilities = frozenset({Ability.RANK_CATALOGUE})
    export_module = "tfrec.serving.exporting.export_behaviour_text"
    explanation_module = "tfrec.explanation.behaviour_text"

    def can(self, ability: Ability, config: RunConfig) -> bool:
        """Only the softmax head ranks the catalogue."""
        return super().can(ability, config) and config.model.head == "softmax"

    def reads_text(self, config: RunConfig) -> bool:
        """Always true. The encoder is part of the model, so no precomputed text vectors are needed."""
        return True

    def read_by(self, config: RunConfig, dataset: PreparedDataset) -> PreparedDataset:
        """The dataset, without impressions unless `model.read_impressions` is on."""
        return without_unread(config, dataset)

    def as_private(self, config: RunConfig) -> RunConfig:
        """The result of `private_settings`."""
        return private_settings(config)

    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """Fits the model with its own copy of the encoder, which training may change; or its head alone, privately."""
        if config.privacy.on:
            return fit_private(dataset, config, workdir=workdir, resume=context.resume, after_epoch=context.after_epoch)
        return fit_behaviour_text(dataset, config, workdir=workdir, resume=context.resume)

    def model_config(self, model: BehaviourTextModel) -> dict[str, Any]:
        """What runs of earlier versions do not have: `neighbours`."""
        return {"neighbours": model.neighbours}

    def build_model(self, run: TrainedRun) -> BehaviourTextModel:
        """Builds the model from the run's configuration, catalogue and encoder."""
        texts = run.items[schema.TEXT].to_list()
        neighbours = (run.manifest.get("model") or {}).get("neighbours", 0)
        return build_behaviour_text_model(run.encoder(), run.config.model.head, texts, run.config, neighbours)

    def scorer(self, run: TrainedRun) -> BehaviourTextScorer:
        """A scorer for the softmax head; raises `InvalidInput` for the sigmoid head."""
        if run.config.model.head == "sigmoid":
            raise InvalidInput(
                "The sigmoid head scores given candidates and does not rank the catalogue. "
                "Train with --head softmax or --model next-item for lists."
            )
        return BehaviourTextScorer(run.model, run.items[schema.TEXT].to_list(), run.event_kinds)

    def evaluate(self, run: TrainedRun, dataset: PreparedDataset, split: str) -> dict[str, Any]:
        """Metrics of the sigmoid head; see `evaluate_behaviour_text_sigmoid`."""
        return evaluate_behaviour_text_sigmoid(run.model, dataset, split, run.config)

    def item_vectors(self, model: BehaviourTextModel) -> np.ndarray | None:
        """The class vectors of the softmax head; None for the sigmoid head, which encodes each candidate's text."""
        return model.mlp.get_layer("logits").kernel.numpy() if model.head_kind == "softmax" else None
