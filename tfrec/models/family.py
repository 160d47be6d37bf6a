"""The interface of a model family; code outside the families uses only this and knows none of them by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import TextEncoder
from tfrec.errors import InvalidInput
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.retrieval.scorer import Scorer
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import WEIGHTS_FILE
from tfrec.training.weights_file import save_weights


class Ability(Enum):
    """What a family's models can be used for; see `ModelFamily.can`."""

    RANK_CATALOGUE = auto()
    """Scores every item: can recommend, retrieve candidates for a ranker, and be evaluated by full ranking."""
    RANK_CANDIDATES = auto()
    """Predicts the probability of each behaviour for given candidates: can be the second of two stages."""
    EXPORT_TWO_STAGES = auto()
    """Can be exported together with a ranker as its second stage."""
    EXPORT_DEVICE = auto()
    """Can be exported as LiteRT programs, for devices."""
    WARM_START = auto()
    """Training can start from an earlier run (`training.start_from`)."""
    LEARN_FROM_RUNS = auto()
    """Training can learn from the probabilities of trained runs (`training.teachers`)."""
    RETRAIN = auto()
    """Works with `tfrec retrain`."""
    TUNE = auto()
    """Works with `tfrec tune`: validates NDCG@10 after each epoch, then calls `after_epoch`."""
    EXPLORE = auto()
    """Works with `tfrec explore`."""
    ADD_ITEMS = auto()
    """New items can be added by their text, without training."""
    MOVE = auto()
    """A trained model can be used on another catalogue (`ModelFamily.moved_model`)."""
    GREET_NEWCOMERS = auto()
    """The export recommends popular items to users without a history."""


class TrainedRun(Protocol):
    """What a family needs of a finished run; `tfrec.Run` implements it."""

    path: Path
    config: RunConfig
    manifest: dict[str, Any]

    @property
    def event_kinds(self) -> list[str]:
        """Event kinds that the model knows, in index order."""

    @property
    def items(self) -> pl.DataFrame:
        """The catalogue; row numbers are item indices."""

    @property
    def item_ids(self) -> np.ndarray:
        """object `[num_items]`, ids in catalogue order."""

    @property
    def model(self) -> Any:
        """The result of `load_model`."""

    def encoder(self) -> TextEncoder:
        """The text encoder of the model."""

    def trained_with(self, encoder: TextEncoder) -> bool:
        """Whether the encoder is that of the training."""


@dataclass(frozen=True)
class FitContext:
    """What `ModelFamily.fit` gets in addition to the data and the configuration.

    Attributes:
        encoder: The text encoder; None unless the family `reads_text`.
        text_vectors: float32 `[num_items, encoder.dim]`; None unless the family `reads_text_vectors`.
        image_vectors: float32 `[num_items, image_dim]`, 0 for an item without a picture; None unless `encoder.image` is
            set and the family `reads_images`.
        earlier: The run of the same family that `training.start_from` names; None unless the family can `WARM_START`.
        teachers: The runs of `training.teachers`, of the same family; none unless the family can `LEARN_FROM_RUNS`.
        resume: Whether to continue from the checkpoints in the folder, if there are any.
        after_epoch: Called after each epoch with its number, from 0, and its metrics; may raise to stop the fit. Used
            only by families that can `TUNE`.
    """

    encoder: TextEncoder | None = None
    text_vectors: np.ndarray | None = None
    image_vectors: np.ndarray | None = None
    earlier: TrainedRun | None = None
    teachers: Sequence[TrainedRun] = ()
    resume: bool = False
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None


def named_weights(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and value of each weight of a Keras model; none of an object that is no Keras model."""
    for weight in getattr(model, "weights", ()):
        yield weight.name, weight.numpy()


class ModelFamily(ABC):
    """One kind of model: how to fit, save, load, query and evaluate it.

    To add a family, add a folder with a subclass to `tfrec/models/` and a line to
    `tfrec.config.model_families.MODEL_FAMILIES`.

    Attributes:
        name: The value of `model.kind`.
        abilities: What its models can be used for; override `can` if that depends on the configuration.
        export_module: Full name of the module whose `servable(run, options)` exports a model; None if there is none. It
            is a name because models must not import from serving.
        explanation_module: In the same way, the module whose `deletions(run)` scores lists after events are deleted;
            None for a family that makes no lists.
    """

    name: ClassVar[str]
    abilities: ClassVar[frozenset[Ability]] = frozenset()
    export_module: ClassVar[str | None] = None
    explanation_module: ClassVar[str | None] = None

    def can(self, ability: Ability, config: RunConfig) -> bool:
        """Whether a model with this configuration has the ability."""
        return ability in self.abilities

    def reads_text(self, config: RunConfig) -> bool:
        """Whether the model uses item text, and so needs a text encoder."""
        return False

    def reads_text_vectors(self, config: RunConfig) -> bool:
        """Whether `fit` needs the catalogue's text vectors, which are then saved with the run."""
        return False

    def reads_images(self, config: RunConfig) -> bool:
        """Whether `fit` can use vectors of the items' pictures."""
        return False

    def read_by(self, config: RunConfig, dataset: PreparedDataset) -> PreparedDataset:
        """The dataset as models with this configuration read it, in training and after it."""
        return dataset

    def as_private(self, config: RunConfig) -> RunConfig:
        """The configuration of a private training: everything off that reads events without noise.

        Args:
            config: The configuration, with `privacy` on.

        Raises:
            InvalidInput: The family has no private training, or an option does not go with it.
        """
        raise InvalidInput(
            f"{self.name} models are trained on shuffled batches, for which no ε is known that is of use: the one of "
            "Poisson sampling is no bound for them. Leave privacy.epsilon out, or train a next-item model, or a "
            "behaviour-text model with the softmax head."
        )

    def as_domain_free(self, config: RunConfig) -> RunConfig:
        """The configuration of a training on several datasets: without what is learnt of single items.

        Args:
            config: The configuration.

        Raises:
            InvalidInput: The family has no such training, or an option does not go with it.
        """
        raise InvalidInput(f"{self.name} models are trained on one dataset. Pass one, or train a next-item model.")

    @abstractmethod
    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """Fits on the training split and keeps the weights with the best validation metric.

        Args:
            dataset: Training sequences and validation queries.
            config: The full configuration.
            workdir: Folder of the run in progress, for checkpoints, history and any other files of the run.
            context: Encoder, text vectors and options of this fit.
        """

    def model_config(self, model: Any) -> dict[str, Any] | None:
        """What the run's manifest stores for `build_model`; None if the run's other files suffice."""
        config: dict[str, Any] = model.get_config()
        return config

    def save_model(self, model: Any, folder: Path) -> None:
        """Writes the fitted model to a run's folder."""
        save_weights(model, folder / WEIGHTS_FILE)

    def load_model(self, run: TrainedRun) -> Any:
        """The trained model.

        Raises:
            TypeError, ValueError, KeyError, OSError: The weights cannot be read, or are of a version whose model
                differs.
            InvalidInput: A weight is not finite.
        """
        model = self.build_model(run)
        model.load_weights(str(run.path / WEIGHTS_FILE))
        refuse_not_finite(named_weights(model), run.path / WEIGHTS_FILE, "Train again.")
        return model

    def build_model(self, run: TrainedRun) -> Any:
        """The model of a run, before its weights are loaded."""
        raise NotImplementedError

    def moved_model(self, run: TrainedRun, dataset: PreparedDataset, text_vectors: np.ndarray) -> Any:
        """The model of a run on another catalogue; only of a family that can `MOVE`.

        Args:
            run: The run.
            dataset: The other catalogue, with its event kinds, training sequences and validation queries.
            text_vectors: float32 `[num_items, text_dim]`, its texts as the run's encoder reads them.

        Raises:
            InvalidInput: The model has another shape.
        """
        raise NotImplementedError

    def scorer(self, run: TrainedRun) -> Scorer:
        """A scorer of the whole catalogue; raises `InvalidInput` unless the model can `RANK_CATALOGUE`."""
        raise InvalidInput(f"A {self.name} model does not rank the catalogue, so it cannot recommend.")

    def evaluate(self, run: TrainedRun, dataset: PreparedDataset, split: str) -> dict[str, Any]:
        """Metrics of a model that does not rank the catalogue; `evaluate_ranking` evaluates those that do."""
        raise NotImplementedError

    def item_vectors(self, model: Any) -> np.ndarray | None:
        """float32 `[num_items, dim]`: the model's item vectors; None if it has none."""
        return None
