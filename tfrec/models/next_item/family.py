"""The model family of NextItemModel, which predicts the next item of a history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.joined_datasets import JoinedDatasets
from tfrec.errors import InvalidInput
from tfrec.models.family import Ability, FitContext, ModelFamily, TrainedRun
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.domain_free_settings import domain_free_settings
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.next_item.fit_domains import ELSEWHERE, adopt_elsewhere, fit_domains
from tfrec.models.next_item.fit_end_to_end import fit_end_to_end
from tfrec.models.next_item.fit_private import fit_private
from tfrec.models.next_item.fit_transferred import fit_transferred, refuse_other_encoder
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.private_settings import private_settings
from tfrec.models.next_item.score_weights.choice import choose_score_weights
from tfrec.models.next_item.score_weights.search import MIN_QUERIES
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.warm_start import leaves_network_out, moves
from tfrec.models.shared.item_features import embedding_columns, item_features, shortened_features
from tfrec.models.shared.modalities import Modality
from tfrec.models.shared.modality_weights import fused_features
from tfrec.models.shared.unread_impressions import without_unread
from tfrec.training.fit_result import FitResult


class NextItemFamily(ModelFamily):
    """Models that rank the whole catalogue by the texts, ids and neighbours of the items of a history."""

    name = "next-item"
    abilities = frozenset(
        {
            Ability.RANK_CATALOGUE,
            Ability.EXPORT_TWO_STAGES,
            Ability.EXPORT_DEVICE,
            Ability.WARM_START,
            Ability.LEARN_FROM_RUNS,
            Ability.RETRAIN,
            Ability.TUNE,
            Ability.EXPLORE,
            Ability.ADD_ITEMS,
            Ability.GREET_NEWCOMERS,
            Ability.MOVE,
        }
    )
    export_module = "tfrec.serving.exporting.export_next_item"
    explanation_module = "tfrec.explanation.next_item"

    def can(self, ability: Ability, config: RunConfig) -> bool:
        """Whether the model has the ability.

        New items need a model of texts, other catalogues one of texts without ids, tuning needs validation by NDCG@10,
        and only plain trainings of frozen encoders learn from other runs.
        """
        if ability is Ability.LEARN_FROM_RUNS:
            return not (config.encoder.trainable or config.privacy.on or config.training.start_from)
        if ability is Ability.MOVE:
            return config.model.use_text and not config.model.use_id
        if ability is Ability.ADD_ITEMS:
            return config.model.use_text
        if ability is Ability.TUNE:
            return not config.encoder.trainable and config.training.monitor != "loss"
        return super().can(ability, config)

    def reads_text(self, config: RunConfig) -> bool:
        """Whether `model.use_text` is on."""
        return config.model.use_text

    def reads_text_vectors(self, config: RunConfig) -> bool:
        """Whether `model.use_text` is on."""
        return config.model.use_text

    def reads_images(self, config: RunConfig) -> bool:
        """True: pictures stand beside the text, or in its place."""
        return True

    def read_by(self, config: RunConfig, dataset: PreparedDataset) -> PreparedDataset:
        """The dataset, without impressions unless `model.read_impressions` is on."""
        return without_unread(config, dataset)

    def as_private(self, config: RunConfig) -> RunConfig:
        """The result of `private_settings`."""
        return private_settings(config)

    def as_domain_free(self, config: RunConfig) -> RunConfig:
        """The result of `domain_free_settings`."""
        return domain_free_settings(config)

    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """Trains on frozen text vectors or, with `encoder.trainable`, together with the encoder; or privately."""
        if config.encoder.trainable:
            columns = [*embedding_columns(dataset), *([] if context.image_vectors is None else ["pictures"])]
            if columns:
                raise InvalidInput(
                    f"encoder.trainable=true works with text alone, but the items have {columns}. "
                    "Set encoder.trainable=false or leave them out."
                )
            return fit_end_to_end(
                dataset,
                context.encoder,
                context.text_vectors,
                config,
                workdir=workdir,
                resume=context.resume,
                earlier=context.earlier,
            )
        if config.privacy.on:
            return self._fit_privately(dataset, config, workdir, context)
        options: dict[str, Any] = {"resume": context.resume, "after_epoch": context.after_epoch}
        fit: Callable[..., FitResult] = fit_next_item
        like = None
        if context.earlier is not None:
            refuse_other_encoder(context.earlier, dataset, context.encoder, config)
            options["earlier"] = context.earlier
            fit = fit_transferred if moves(context.earlier, dataset) else fit_next_item
            like = modalities_of(context.earlier)
        if context.teachers:
            options["teachers"] = context.teachers
        features, modalities = fused_features(dataset, context.text_vectors, context.image_vectors, config, like)
        if modalities:
            options["modalities"] = modalities
        elif isinstance(dataset, JoinedDatasets) and fit is fit_next_item and not (context.earlier or context.teachers):
            fit = fit_domains
        if context.encoder is not None:
            options["shortened"] = shortened_features(dataset, context.encoder, config, features)
        return fit(dataset, features, config, workdir=workdir, **options)

    def _fit_privately(
        self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext
    ) -> FitResult:
        if context.image_vectors is not None:
            raise InvalidInput(
                "encoder.image does not work with private training: how much pictures count would be read from events. "
                "Leave one of them out."
            )
        features = item_features(dataset, context.text_vectors)
        return fit_private(
            *(dataset, features, config), workdir=workdir, resume=context.resume, after_epoch=context.after_epoch
        )

    def build_model(self, run: TrainedRun) -> NextItemModel:
        """The model that the manifest describes, without its weights."""
        return NextItemModel.from_config(run.manifest["model"])

    def moved_model(self, run: TrainedRun, dataset: PreparedDataset, text_vectors: np.ndarray) -> NextItemModel:
        """The network of the run with the neighbours, repeats and popularity of the dataset."""
        if modalities_of(run):
            raise InvalidInput(
                f"{run.path} reads more of its items than texts, by which alone it could come into another catalogue. "
                "Train a run without encoder.image and *_embedding columns, or one of several --data."
            )
        model = build_next_item_model(dataset, text_vectors, run.config, run)
        if leaves_network_out(run):
            ScoreWeights.from_model(model).without_network().assign_to(model)
        queries = len(dataset.queries(schema.VALID))
        if queries < MIN_QUERIES and run.manifest.get(ELSEWHERE):
            adopt_elsewhere(model, run)
        elif run.config.training.balance and queries:
            choose_score_weights(model, dataset, run.config)
        return model

    def scorer(self, run: TrainedRun) -> NextItemScorer:
        """A scorer with the run's model."""
        return NextItemScorer(run.model)

    def item_vectors(self, model: Any) -> np.ndarray:
        """float32 `[num_items, dim]`: item vectors of text and id together."""
        return model.items.vectors().numpy()


def modalities_of(run: TrainedRun) -> tuple[Modality, ...]:
    """The modalities of a run's model; none where it reads text alone."""
    return tuple(Modality(*each) for each in run.manifest["model"].get("modalities", ()))
