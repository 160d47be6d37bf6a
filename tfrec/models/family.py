"""What a family of models offers to the rooms above, which know no family by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
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
from tfrec.retrieval.scorer import Scorer
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import WEIGHTS_FILE


class Ability(Enum):
    """What can be done with the models of a family; `ModelFamily.can` says with which."""

    RANK_CATALOGUE = auto()
    """Scores every item, so that it makes lists, retrieves for a ranker, and is measured by full ranking."""
    RANK_CANDIDATES = auto()
    """Gives each behaviour's probability for given candidates, so that it can be the second of two stages."""
    EXPORT_TWO_STAGES = auto()
    """Its export takes a ranker behind it."""
    WARM_START = auto()
    """Its training can start from an earlier run: `training.start_from`."""
    RETRAIN = auto()
    """`tfrec retrain` keeps it up to date."""
    TUNE = auto()
    """`tfrec tune` searches its options: validates by NDCG@10 after each epoch, and calls `after_epoch` then."""
    EXPLORE = auto()
    """`tfrec explore` looks into it."""
    ADD_ITEMS = auto()
    """Takes new items, by their text, without training."""
    GREET_NEWCOMERS = auto()
    """Its export answers people without a history with popular items."""


class TrainedRun(Protocol):
    """What a family reads of a finished run; `tfrec.Run` has it."""

    path: Path
    config: RunConfig
    manifest: dict[str, Any]

    @property
    def event_kinds(self) -> list[str]:
        """Event kinds that the model knows; the position is the index."""

    @property
    def items(self) -> pl.DataFrame:
        """The catalogue; the row is the item index."""

    @property
    def item_ids(self) -> np.ndarray:
        """Object `[num_items]`."""

    @property
    def model(self) -> Any:
        """As `load_model` gave it."""

    def encoder(self) -> TextEncoder:
        """The text encoder of the model."""


@dataclass(frozen=True)
class FitContext:
    """What a fit has beside the data and the configuration.

    Attributes:
        encoder: Where the family `reads_text`.
        text_vectors: float32 `[num_items, encoder.dim]`, where it `reads_text_vectors`.
        earlier: The run that `training.start_from` names, of the same family; only where it can `WARM_START`.
        resume: Whether to go on from the checkpoints in the folder, if there are any.
        after_epoch: Called with each epoch, from 0, and its numbers; may raise to stop. Only where it can `TUNE`.
    """

    encoder: TextEncoder | None = None
    text_vectors: np.ndarray | None = None
    earlier: TrainedRun | None = None
    resume: bool = False
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None


class ModelFamily(ABC):
    """One kind of model: how it is fitted, kept, loaded, asked and measured.

    A new family is a folder in `tfrec/models/` with a subclass of this, and a line in
    `tfrec.config.model_families.MODEL_FAMILIES`.

    Attributes:
        name: What `model.kind` calls it.
        abilities: What can be done with its models; where that depends on the configuration, `can` is overridden.
        export_module: Full name of the module that makes it servable, by `servable(run, options)`; None where it has no
            export. Named and not imported, as serving stands above the models.
    """

    name: ClassVar[str]
    abilities: ClassVar[frozenset[Ability]] = frozenset()
    export_module: ClassVar[str | None] = None

    def can(self, ability: Ability, config: RunConfig) -> bool:
        """Whether a model with this configuration has an ability."""
        return ability in self.abilities

    def reads_text(self, config: RunConfig) -> bool:
        """Whether the model reads text, so that there has to be an encoder."""
        return False

    def reads_text_vectors(self, config: RunConfig) -> bool:
        """Whether `fit` takes the catalogue's text vectors, which the run then keeps."""
        return False

    @abstractmethod
    def fit(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, context: FitContext) -> FitResult:
        """Fits on the training split and keeps the weights that validate best.

        Args:
            dataset: Training sequences and validation queries.
            config: Every option.
            workdir: Folder of the run in progress: checkpoints, history, and whatever else the run is to keep.
            context: What was made ready for it.
        """

    def model_config(self, model: Any) -> dict[str, Any] | None:
        """What the run's manifest keeps, for `load_model` to build the model by."""
        config: dict[str, Any] = model.get_config()
        return config

    def save_model(self, model: Any, folder: Path) -> None:
        """Writes what a fit gave back into a run's folder."""
        (folder / WEIGHTS_FILE).parent.mkdir(parents=True, exist_ok=True)
        model.save_weights(str(folder / WEIGHTS_FILE))

    def load_model(self, run: TrainedRun) -> Any:
        """The trained model; raises TypeError, ValueError or KeyError where it is not that of this version."""
        model = self.build_model(run)
        model.load_weights(str(run.path / WEIGHTS_FILE))
        return model

    def build_model(self, run: TrainedRun) -> Any:
        """The model of a run before its weights are loaded."""
        raise NotImplementedError

    def scorer(self, run: TrainedRun) -> Scorer:
        """The model behind the interface of everything that ranks the catalogue; where it can `RANK_CATALOGUE`."""
        raise InvalidInput(f"A {self.name} model does not rank the catalogue, so there are no lists of it.")

    def evaluate(self, run: TrainedRun, dataset: PreparedDataset, split: str) -> dict[str, Any]:
        """Metrics of a model that does not rank the catalogue; those of all others come from `evaluate_ranking`."""
        raise NotImplementedError

    def item_vectors(self, model: Any) -> np.ndarray | None:
        """float32 `[num_items, dim]`: what the model tells its items apart by; None where it keeps no such thing."""
        return None
