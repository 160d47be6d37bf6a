"""Trains a NextItemModel privately: what the run holds in the end has the ε of its ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.poisson_batches import PoissonBatches
from tfrec.models.next_item.private_ledger import private_ledger
from tfrec.models.next_item.private_selection import surely_better, validation_queries
from tfrec.models.next_item.private_starts import copy_of, may_have_neighbours, public_start, start_with_counts
from tfrec.models.next_item.private_trainer import PrivateTrainer
from tfrec.models.next_item.windows import Windows
from tfrec.privacy.budget import COUNTS, GRADIENTS, SELECTION, planned_mechanisms
from tfrec.privacy.mechanism import Mechanism
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_counts import noisy_counts
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.schedules import warm_cosine

START, START_WITH_COUNTS, TRAINED = "start", "start with counts", "trained weights"
"""What a run may keep."""


def fit_private(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    *,
    workdir: Path,
    resume: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
) -> FitResult:
    """Trains on clipped gradients with noise, for all epochs, and keeps the start where training is not better.

    Args:
        dataset: Training sequences, and validation queries for the choice between start and trained weights.
        text_vectors: float32 `[num_items, text_dim]`, taken to be public; None for a model of ids alone.
        config: A configuration of `private_settings`.
        workdir: Folder for the checkpoint, the weights, and until the end the noise key.
        resume: bool. Whether to continue from the checkpoint in `workdir`, if there is one.
        after_epoch: Called at the end of each epoch with its number, from 0; may raise to stop.

    Returns:
        The model, the ledger, and the catalogue with noisy counts. There are no metrics: they would be without noise.

    Raises:
        InvalidInput: ε or δ do not fit the data, items are known from events alone, or nobody has two training events.
    """
    _refuse_items_of_events_alone(dataset.items)
    windows = Windows.cut(dataset.training(), config.model.max_history)
    people = len(np.unique(np.searchsorted(windows.histories.offsets, windows.start, side="right")))
    if not people:
        raise InvalidInput("No user has two training events, so there is nothing to learn from. Add events.")
    batch = min(people, config.training.batch_size or max(16, people // 20))
    steps = max(1, round(people / batch))
    queries = validation_queries(dataset)
    planned = planned_mechanisms(
        config.privacy,
        people,
        batch,
        steps * config.training.epochs,
        validated=len(queries) > 0,
        paired=config.model.neighbours > 0 and may_have_neighbours(dataset),
        popular=config.model.popular > 0,
    )
    _say_what_is_bounded(windows, people, config.model.max_history)
    source = NoiseSource.of_run(workdir)
    counts = _noisy_counts(dataset, planned, source)
    start = public_start(dataset, text_vectors, config)
    better = partial(
        surely_better,
        queries=queries,
        dataset=dataset,
        config=config,
        multiplier=planned[SELECTION].multiplier if SELECTION in planned else None,
        source=source,
    )
    informed = start_with_counts(start, dataset, counts, planned, source)
    kept = base = start if informed is None or better(start, informed, number=0) else informed
    rows: list[dict[str, Any]] = []
    if GRADIENTS in planned:
        batches = PoissonBatches(windows, batch / people, source)
        trained, loop = _trained(base, batches, config, planned, (batch, steps), source, (workdir, resume, after_epoch))
        rows = loop.rows
        if SELECTION not in planned or better(trained, base, number=1):
            kept = trained
    chosen = START if kept is start else START_WITH_COUNTS if kept is base else TRAINED
    if GRADIENTS not in planned:
        say(f"Nothing is trained, as privacy.neighbours is 1; the run is the {chosen}.")
    elif chosen != TRAINED:
        say(f"The run keeps the untrained {chosen}: validation, asked with noise, does not find training any better.")
    ledger = private_ledger(config, planned, people=people, batch=batch, kept=chosen)
    NoiseSource.forget(workdir)
    epsilons = ", ".join(f"{value:.3g} ({relation})" for relation, value in ledger.epsilons().items())
    say(f"ε = {epsilons} at δ = {ledger.delta:g}, for all events of one of {people} people")
    return FitResult(kept, rows, ledger=ledger, items=_released_items(dataset, counts))


def _trained(
    start: NextItemModel,
    batches: PoissonBatches,
    config: RunConfig,
    planned: Mapping[str, Mechanism],
    sizes: tuple[int, int],
    source: NoiseSource,
    run: tuple[Path, bool, Callable[[int, dict[str, Any] | None], None] | None],
) -> tuple[NextItemModel, FitLoop]:
    """A copy of the start after all epochs, and the loop that ran them. The network counts in full from the beginning,
    as its gradients would be lost in the noise otherwise."""
    (batch, steps), (workdir, resume, after_epoch), options = sizes, run, config.training
    model = copy_of(start)
    model.log_temperature.assign(np.log(np.float32(config.model.temperature)))
    trainer = PrivateTrainer(model, config.privacy.clip, planned[GRADIENTS].multiplier, batch, source)
    trainer.compile(_optimizer(config, steps * options.epochs))
    trainer.optimizer.build(trainer.trainable_variables)
    loop = FitLoop(workdir, resume=resume, time_budget=options.time_budget, after_epoch=after_epoch)
    newest = loop.run(
        Stage(
            model=trainer,
            batches=lambda first, stop: batches.dataset(first * steps, stop * steps),
            steps=steps,
            epochs=options.epochs,
            validate=dict,  # no metric selects an epoch
            monitor="loss",
            patience=options.epochs,
        )
    )
    trained = NextItemModel.from_config(start.get_config())
    trained.load_weights(str(newest))
    return trained, loop


def _optimizer(config: RunConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam with warm-up and cosine decay; what it makes of a noisy gradient tells no more than the gradient."""
    options = config.training
    average = {"use_ema": True, "ema_momentum": options.ema} if options.ema else {}
    schedule = warm_cosine(options.learning_rate, int(options.warmup * steps), steps)
    return keras.optimizers.Adam(schedule, beta_2=0.98, weight_decay=options.weight_decay or None, **average)


def _refuse_items_of_events_alone(items: pl.DataFrame) -> None:
    if schema.IN_CATALOGUE not in items.columns:
        return
    alone = items.filter(~pl.col(schema.IN_CATALOGUE).fill_null(True))
    if alone.height:
        raise InvalidInput(
            f"{alone.height} items, such as {alone[schema.ITEM_ID][0]!r}, are known from events alone. That they are "
            "in the run would tell that somebody took them. Prepare with an items file that has every item."
        )


def _say_what_is_bounded(windows: Windows, people: int, length: int) -> None:
    """For whoever runs the training; it is exact, and so stays out of the run."""
    if len(windows) > people:
        say(
            f"Some people have more than {length + 1} events ({len(windows)} windows of {people} people). Each step "
            "reads one window, drawn at random, of each person in it, so everybody counts alike."
        )


def _noisy_counts(dataset: PreparedDataset, planned: Mapping[str, Mechanism], source: NoiseSource) -> np.ndarray | None:
    if COUNTS not in planned:
        return None
    return noisy_counts(dataset.training(), dataset.num_items, planned[COUNTS].multiplier, source)


def _released_items(dataset: PreparedDataset, counts: np.ndarray | None) -> pl.DataFrame:
    """The catalogue with noisy counts, or with zeros without them."""
    shown = np.zeros(dataset.num_items) if counts is None else np.rint(counts)
    return dataset.items.with_columns(
        pl.Series(schema.TRAIN_COUNT, shown).cast(dataset.items[schema.TRAIN_COUNT].dtype)
    )
