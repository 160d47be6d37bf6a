"""The order of a private training, which is the same for all families: what the run holds has the ε of its ledger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import tensorflow as tf

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.privacy.budget import COUNTS, GRADIENTS, SELECTION, planned_mechanisms
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_counts import noisy_counts
from tfrec.privacy.private_trainer import GradientsByPerson, PrivateTrainer
from tfrec.privacy.released_items import refuse_items_of_events_alone, released_items
from tfrec.privacy.selection import queries_asked, surely_better, validation_queries
from tfrec.privacy.training_ledger import training_ledger
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.schedules import warm_cosine

START, START_WITH_COUNTS, TRAINED = "start", "start with counts", "trained weights"
"""What a run may keep."""

M = TypeVar("M")


class PrivateFit(ABC, Generic[M]):
    """Trains on clipped gradients with noise, for all epochs, and keeps the start where training is not better.

    A family says what its starts are, how a start is trained, and how good either is on validation queries.

    Args:
        dataset: Training sequences, and validation queries for the choice between start and trained weights.
        config: A configuration of the family's private settings.
        workdir: Folder for the checkpoint, the weights, and until the end the noise key.
        people: int. Number of people with something to learn from.
        paired: bool. Whether there may be noisy neighbours.
        popular: bool. Whether noisy counts have a part in the scores.
        resume: bool. Whether to continue from the checkpoint in `workdir`, if there is one.
        after_epoch: Called at the end of each epoch with its number, from 0; may raise to stop.

    Raises:
        InvalidInput: ε or δ do not fit the data, items are known from events alone, or nobody has two training events.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        config: RunConfig,
        workdir: Path,
        people: int,
        *,
        paired: bool,
        popular: bool,
        resume: bool = False,
        after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    ) -> None:
        refuse_items_of_events_alone(dataset.items)
        if not people:
            raise InvalidInput("No user has two training events, so there is nothing to learn from. Add events.")
        options = config.training
        self.dataset, self.config, self.workdir, self.people = dataset, config, workdir, people
        self.batch = min(people, options.batch_size or max(16, people // 20))
        self.steps = max(1, round(people / self.batch))
        queries = validation_queries(dataset)
        self.planned = planned_mechanisms(
            config.privacy,
            people,
            self.batch,
            self.steps * options.epochs,
            validated=len(queries) > 0,
            paired=paired,
            popular=popular,
        )
        self.source = NoiseSource.of_run(workdir)
        self.queries = queries_asked(queries, dataset.num_items, self.source)
        self._resume, self._after_epoch = resume, after_epoch

    @abstractmethod
    def public_start(self) -> M:
        """The untrained model, which depends on the catalogue, the texts and the event kinds, and on no event."""

    @abstractmethod
    def start_with_counts(self, start: M, counts: np.ndarray | None) -> M | None:
        """The public start with noisy popularity and neighbours; None where neither is in the budget.

        Args:
            start: The result of `public_start`, which stays as it is.
            counts: float `[num_items]`, the noisy counts; None without.
        """

    @abstractmethod
    def trained(self, start: M) -> tuple[M, list[dict[str, Any]]]:
        """The start, which stays as it is, after all epochs; and a row of history for each."""

    @abstractmethod
    def ndcg(self, model: M) -> np.ndarray:
        """NDCG@10 of each of `queries`, float `[queries]`."""

    @abstractmethod
    def model_of(self, kept: M) -> keras.Model:
        """The model that the run holds."""

    @property
    @abstractmethod
    def example(self) -> str:
        """What a gradient of one person is of, such as "a window of 51 events"."""

    @property
    @abstractmethod
    def off(self) -> Sequence[str]:
        """What a training without privacy computes from events, and this one does not."""

    def result(self) -> FitResult:
        """The model, the ledger, and the catalogue with noisy counts; no metrics, as they would be without noise."""
        start = self.public_start()
        informed = self.start_with_counts(start, self.counts)
        kept = base = start if informed is None or self._better(start, informed, number=0) else informed
        rows: list[dict[str, Any]] = []
        if GRADIENTS in self.planned:
            trained, rows = self.trained(base)
            if SELECTION not in self.planned or self._better(trained, base, number=1):
                kept = trained
        chosen = START if kept is start else START_WITH_COUNTS if kept is base else TRAINED
        _say_what_is_kept(chosen, GRADIENTS in self.planned)
        ledger = training_ledger(
            self.config,
            self.planned,
            people=self.people,
            batch=self.batch,
            kept=chosen,
            example=self.example,
            off=self.off,
        )
        NoiseSource.forget(self.workdir)
        epsilons = ", ".join(f"{value:.3g} ({relation})" for relation, value in ledger.epsilons().items())
        say(f"ε = {epsilons} at δ = {ledger.delta:g}, for all events of one of {self.people} people")
        items = released_items(self.dataset.items, self.counts)
        return FitResult(self.model_of(kept), rows, ledger=ledger, items=items)

    @cached_property
    def counts(self) -> np.ndarray | None:
        """The noisy counts, float `[num_items]`; None where they are not in the budget."""
        if COUNTS not in self.planned:
            return None
        return noisy_counts(
            self.dataset.training(), self.dataset.num_items, self.planned[COUNTS].multiplier, self.source
        )

    def fitted(
        self, model: keras.Model, gradients: GradientsByPerson, batches: Callable[[int, int], tf.data.Dataset]
    ) -> tuple[Path, list[dict[str, Any]]]:
        """Trains a model for all epochs; for `trained`.

        Args:
            model: The model to train.
            gradients: The gradients of each person by its variables.
            batches: From the first step and the step to stop before to their batches.

        Returns:
            The file of the model's weights, and a row of history for each epoch.
        """
        options, steps = self.config.training, self.steps
        multiplier = self.planned[GRADIENTS].multiplier
        trainer = PrivateTrainer(model, gradients, self.config.privacy.clip, multiplier, self.batch, self.source)
        trainer.compile(_optimizer(self.config, steps * options.epochs))
        trainer.optimizer.build(trainer.trainable_variables)
        loop = FitLoop(
            self.workdir, resume=self._resume, time_budget=options.time_budget, after_epoch=self._after_epoch
        )
        newest = loop.run(
            Stage(
                model=trainer,
                batches=lambda first, stop: batches(first * steps, stop * steps),
                steps=steps,
                epochs=options.epochs,
                validate=dict,  # no metric selects an epoch
                monitor="loss",
                patience=options.epochs,
            )
        )
        return newest, loop.rows

    def _better(self, model: M, other: M, number: int) -> bool:
        """Whether a model is surely better than another; not without a budget to ask."""
        if SELECTION not in self.planned:
            return False
        gains = self.ndcg(model) - self.ndcg(other)
        return surely_better(gains, self.planned[SELECTION].multiplier, self.source, number)


def _optimizer(config: RunConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam with warm-up and cosine decay; what it makes of a noisy gradient tells no more than the gradient."""
    options = config.training
    average = {"use_ema": True, "ema_momentum": options.ema} if options.ema else {}
    schedule = warm_cosine(options.learning_rate, int(options.warmup * steps), steps)
    return keras.optimizers.Adam(schedule, beta_2=0.98, weight_decay=options.weight_decay or None, **average)


def _say_what_is_kept(chosen: str, trained: bool) -> None:
    if not trained:
        say(f"Nothing is trained, as privacy.neighbours is 1; the run is the {chosen}.")
    elif chosen != TRAINED:
        say(f"The run keeps the untrained {chosen}: validation, asked with noise, does not find training any better.")
