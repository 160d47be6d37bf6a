"""Trains the softmax head of a BehaviourTextModel privately; the encoder is public, and stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders.load import load_configured
from tfrec.models.behaviour_text.model import BehaviourTextModel, behaviour_texts, build_behaviour_text_model
from tfrec.models.behaviour_text.per_person_gradients import SoftmaxHeadGradients
from tfrec.models.behaviour_text.private_batches import TEXTS, PersonTexts, PrivateBatches
from tfrec.models.behaviour_text.private_settings import OFF
from tfrec.models.behaviour_text.private_starts import Weights, public_start, start_with_counts
from tfrec.models.behaviour_text.text_features import encode_texts, named_items, query_texts
from tfrec.models.behaviour_text.validation import EncodedScorer, ranked
from tfrec.models.shared.private_fit import PrivateFit
from tfrec.privacy.noisy_neighbours import may_have_neighbours
from tfrec.training.fit_result import FitResult


def fit_private(dataset: PreparedDataset, config: RunConfig, *, workdir: Path, **options: Any) -> FitResult:
    """Trains the head on clipped gradients with noise, for all epochs, and keeps the start where that is not better.

    Args:
        dataset: Training sequences, and validation queries for the choice between start and trained weights.
        config: A configuration of `private_settings`.
        workdir: Folder for the checkpoint, the weights, and until the end the noise key.
        **options: `resume` and `after_epoch`, as for `PrivateFit`.

    Returns:
        The model, the ledger, and the catalogue with noisy counts. There are no metrics: they would be without noise.

    Raises:
        InvalidInput: As for `PrivateFit`.
    """
    return BehaviourTextPrivateFit(dataset, config, workdir, **options).result()


class BehaviourTextPrivateFit(PrivateFit[Weights]):
    """The private training of a softmax head; the arguments are those of `fit_private`.

    Texts of histories are encoded once, and are in memory alone.
    """

    def __init__(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, **options: Any) -> None:
        texts = PersonTexts.of(dataset.training())
        people = len(np.unique(texts.people))
        paired = config.model.neighbours > 0 and may_have_neighbours(dataset.num_items)
        super().__init__(dataset, config, workdir, people, paired=paired, popular=True, **options)
        most = config.training.max_examples
        self.count = min(TEXTS, max(1, most // people)) if most else TEXTS
        self.texts = texts.drawn(self.count, self.source)

    @cached_property
    def model(self) -> BehaviourTextModel:
        encoder = load_configured(self.config.encoder)
        return build_behaviour_text_model(encoder, self.config.model.head, self.dataset.texts, self.config)

    @property
    def example(self) -> str:
        return f"the mean over {self.count} texts of a person, or as many as there are"

    @property
    def off(self) -> Sequence[str]:
        return OFF

    def public_start(self) -> Weights:
        items = encode_texts(self.model.item_encoder, self.dataset.texts, self._size, "Encoding item texts")
        return public_start(self.model, items, never_repeats=self._never_repeats)

    def start_with_counts(self, start: Weights, counts: np.ndarray | None) -> Weights | None:
        return start_with_counts(self.model, start, self.dataset, counts, self.planned, self.source)

    def trained(self, start: Weights) -> tuple[Weights, list[dict[str, Any]]]:
        mlp = self.model.mlp
        mlp.set_weights(start)
        newest, rows = self.fitted(mlp, SoftmaxHeadGradients(mlp), self._batches().dataset)
        mlp.load_weights(str(newest))
        return mlp.get_weights(), rows

    def ndcg(self, model: Weights) -> np.ndarray:
        self.model.mlp.set_weights(model)
        scorer = EncodedScorer(self.model, *self._encoded_queries)
        result = ranked(scorer, self.queries, self.dataset, self.config)
        return result.per_user["ndcg@10"].to_numpy()

    def model_of(self, kept: Weights) -> BehaviourTextModel:
        self.model.mlp.set_weights(kept)
        return self.model

    @property
    def _never_repeats(self) -> bool:
        return self.config.retrieval.exclude_seen == "true"

    @property
    def _size(self) -> int:
        return self.config.encoder.batch_size

    def _batches(self) -> PrivateBatches:
        histories, stops = self.texts.histories, self.texts.stops
        starts = np.maximum(histories.offsets[self.texts.people], stops - self.model.max_history)
        catalogue, kinds = self.dataset.texts, self.dataset.event_kinds
        texts = behaviour_texts(histories, starts, stops, catalogue, kinds, self.model.max_words)
        vectors, named = self._encoded(texts, "Encoding behaviour texts")
        labels = self._labels(named)
        return PrivateBatches(self.texts.by_person(), vectors, named, labels, self.batch / self.people, self.source)

    def _labels(self, named: np.ndarray) -> np.ndarray:
        """What followed each text, int32 `[texts]`; −1 for items that the model never lists after it."""
        targets = self.texts.targets
        if not self._never_repeats:
            return targets
        names = self.model.mlp.get_layer("named_bias").names[targets]
        repeated = (names >= 0) & (named == names[:, None]).any(axis=1)
        return np.where(repeated, schema.PADDING, targets)

    @cached_property
    def _encoded_queries(self) -> tuple[np.ndarray, np.ndarray]:
        texts = query_texts(self.model, self.queries.history, self.dataset)
        return self._encoded(texts, "Encoding validation texts")

    def _encoded(self, texts: Sequence[str], description: str) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of behaviour texts, and the items that they name."""
        vectors = encode_texts(self.model.behaviour_encoder, texts, self._size, description)
        return vectors, named_items(self.model.get_layer("named_items"), texts)
