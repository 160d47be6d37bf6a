"""Trains a NextItemModel privately: what the run holds in the end has the ε of its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.per_person_gradients import PerPersonGradients
from tfrec.models.next_item.poisson_batches import PoissonBatches
from tfrec.models.next_item.private_settings import OFF
from tfrec.models.next_item.private_starts import copy_of, public_start, start_with_counts
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import measured
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.private_fit import PrivateFit
from tfrec.privacy.noisy_neighbours import may_have_neighbours
from tfrec.progress import say
from tfrec.training.fit_result import FitResult


def fit_private(
    dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig, *, workdir: Path, **options: Any
) -> FitResult:
    """Trains on clipped gradients with noise, for all epochs, and keeps the start where training is not better.

    Args:
        dataset: Training sequences, and validation queries for the choice between start and trained weights.
        text_vectors: float32 `[num_items, text_dim]`, taken to be public; None for a model of ids alone.
        config: A configuration of `private_settings`.
        workdir: Folder for the checkpoint, the weights, and until the end the noise key.
        **options: `resume` and `after_epoch`, as for `PrivateFit`.

    Returns:
        The model, the ledger, and the catalogue with noisy counts. There are no metrics: they would be without noise.

    Raises:
        InvalidInput: As for `PrivateFit`.
    """
    return NextItemPrivateFit(dataset, text_vectors, config, workdir, **options).result()


class NextItemPrivateFit(PrivateFit[NextItemModel]):
    """The private training of a NextItemModel; the arguments are those of `fit_private`."""

    def __init__(
        self,
        dataset: PreparedDataset,
        text_vectors: np.ndarray | None,
        config: RunConfig,
        workdir: Path,
        **options: Any,
    ) -> None:
        self.windows, self.text_vectors = Windows.cut(dataset.training(), config.model.max_history), text_vectors
        paired = config.model.neighbours > 0 and may_have_neighbours(dataset.num_items)
        people, popular = len(np.unique(self.windows.people)), config.model.popular > 0
        super().__init__(dataset, config, workdir, people, paired=paired, popular=popular, **options)
        self._say_what_is_bounded()

    @property
    def example(self) -> str:
        return f"a window of {self.config.model.max_history + 1} events"

    @property
    def off(self) -> Sequence[str]:
        return OFF if self.config.privacy.ids else (*OFF, "learned vectors of items")

    def public_start(self) -> NextItemModel:
        return public_start(self.dataset, self.text_vectors, self.config)

    def start_with_counts(self, start: NextItemModel, counts: np.ndarray | None) -> NextItemModel | None:
        return start_with_counts(start, self.dataset, counts, self.planned, self.source)

    def trained(self, start: NextItemModel) -> tuple[NextItemModel, list[dict[str, Any]]]:
        """The network counts in full from the beginning, as its gradients would be lost in the noise otherwise."""
        model = copy_of(start)
        model.log_temperature.assign(np.log(np.float32(self.config.model.temperature)))
        batches = PoissonBatches(self.windows, self.batch / self.people, self.source)
        newest, rows = self.fitted(model, PerPersonGradients(model), batches.dataset)
        trained = NextItemModel.from_config(start.get_config())
        trained.load_weights(str(newest))
        return trained, rows

    def ndcg(self, model: NextItemModel) -> np.ndarray:
        return measured(NextItemScorer(model), self.queries, self.dataset, self.config)[1]

    def model_of(self, kept: NextItemModel) -> NextItemModel:
        return kept

    def _say_what_is_bounded(self) -> None:
        """For whoever runs the training; it is exact, and so stays out of the run."""
        windows, length = len(self.windows), self.config.model.max_history
        if windows > self.people:
            say(
                f"Some people have more than {length + 1} events ({windows} windows of {self.people} people). Each "
                "step reads one window, drawn at random, of each person in it, so everybody counts alike."
            )
