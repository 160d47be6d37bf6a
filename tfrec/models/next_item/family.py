"""NextItemModel as a family: what comes next, from a history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.without_kind import DatasetWithoutKind
from tfrec.errors import InvalidInput
from tfrec.models.family import Ability, FitContext, ModelFamily, TrainedRun
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.next_item.fit_end_to_end import fit_end_to_end
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.shared.item_features import embedding_columns, item_features, shortened_features
from tfrec.training.fit_result import FitResult


def hides_impressions(config: RunConfig, event_kinds: Sequence[str]) -> bool:
    """Whether there are impressions, and histories are read without them."""
    return schema.IMPRESSION in event_kinds and not config.model.read_impressions


class NextItemFamily(ModelFamily):
    """Ranks the whole catalogue by the text, ids and neighbours of what was taken before."""

    name = "next-item"
    abilities = frozenset(
        {
            Ability.RANK_CATALOGUE,
            Ability.EXPORT_TWO_STAGES,
            Ability.WARM_START,
            Ability.RETRAIN,
            Ability.TUNE,
            Ability.EXPLORE,
            Ability.ADD_ITEMS,
            Ability.GREET_NEWCOMERS,
        }
    )
    export_module = "tfrec.serving.exporting.export_next_item"

    def can(self, ability: Ability, config: RunConfig) -> bool:
        """New items need a model that reads text; tuning needs epochs that are told apart by NDCG@10."""
        if ability is Ability.ADD_ITEMS:
            return config.model.use_text
        if ability is Ability.TUNE:
            return not config.encoder.trainable and config.training.monitor != "loss"
        return super().can(ability, config)

    def reads_text(self, config: RunConfig) -> bool:
        """As `model.use_text` says."""
        return config.model.use_text

    def reads_text_vectors(self, config: RunConfig) -> bool:
        """As `model.use_text` says."""
        return config.model.use_text

    def read_by(self, config: RunConfig, dataset: PreparedDataset) -> PreparedDataset:
        """Without impressions, unless `model.read_impressions` asks for them."""
        if not hides_impressions(config, dataset.event_kinds):
            return dataset
        return DatasetWithoutKind(dataset, schema.IMPRESSION)

    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """On frozen text vectors, or, with `encoder.trainable`, with the encoder."""
        if config.encoder.trainable:
            if columns := embedding_columns(dataset):
                raise InvalidInput(f"encoder.trainable reads text alone, the items have {columns}. Leave one out.")
            return fit_end_to_end(
                dataset,
                context.encoder,
                context.text_vectors,
                config,
                workdir=workdir,
                resume=context.resume,
                earlier=context.earlier,
            )
        features = item_features(dataset, context.text_vectors)
        shortened = None
        if context.encoder is not None:
            shortened = shortened_features(dataset, context.encoder, config, features)
        return fit_next_item(
            dataset,
            features,
            config,
            workdir=workdir,
            resume=context.resume,
            after_epoch=context.after_epoch,
            shortened=shortened,
            earlier=context.earlier,
        )

    def build_model(self, run: TrainedRun) -> NextItemModel:
        """From the manifest."""
        return NextItemModel.from_config(run.manifest["model"])

    def scorer(self, run: TrainedRun) -> NextItemScorer:
        """Of the run's model."""
        return NextItemScorer(run.model)

    def item_vectors(self, model: Any) -> np.ndarray:
        """Of text and id together."""
        return model.items.vectors().numpy()
