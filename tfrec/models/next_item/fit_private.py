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
from tfrec.data.impressions import taken
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.next_item.build import build_from_catalogue
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.poisson_batches import PoissonBatches
from tfrec.models.next_item.private_ledger import private_ledger
from tfrec.models.next_item.private_selection import best_model, validation_queries
from tfrec.models.next_item.private_trainer import PrivateTrainer
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.history_statistics import NEVER
from tfrec.privacy.budget import COUNTS, GRADIENTS, NEIGHBOURS, SELECTION, planned_mechanisms
from tfrec.privacy.mechanism import Mechanism
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_counts import noisy_counts
from tfrec.privacy.noisy_neighbours import MOST_ITEMS, noisy_neighbours
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.schedules import warm_cosine

_WEIGHTS, _DECAY = ((5.0, 1.0, 1.0), (5.0, 0.2, 0.01)), 0.6
"""Weights of noisy neighbours, of text neighbours, and of the network (1: as it starts), and the decay: the second puts
neighbours before texts and texts before the network, which says nothing yet. Found on validation at ε = 8 without noise
on anything else: NDCG@10 on Scientific .075, with .1 for the network .069, and on MovieLens-1M .107 and .106."""
START, START_WITH_NEIGHBOURS, TRAINED = "start", "start with neighbours", "trained weights"
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
    paired = config.model.neighbours > 0 and _may_have_neighbours(dataset)
    planned = planned_mechanisms(
        config.privacy, people, batch, steps * config.training.epochs, len(queries) > 0, paired
    )
    _say_what_is_bounded(windows, people, config.model.max_history)
    source = NoiseSource.of_run(workdir)
    start, items = public_start(dataset, text_vectors, config), _released_items(dataset, planned, source)
    best = partial(
        best_model,
        queries=queries,
        dataset=dataset,
        config=config,
        multiplier=planned[SELECTION].multiplier if SELECTION in planned else None,
        source=source,
    )
    informed = _with_neighbours(start, dataset, items, planned, source)
    kept = base = best(start, informed, number=0)
    rows: list[dict[str, Any]] = []
    if GRADIENTS in planned:
        batches = PoissonBatches(windows, batch / people, source)
        trained, loop = _trained(base, batches, config, planned, (batch, steps), source, (workdir, resume, after_epoch))
        kept, rows = best(base, [trained], number=1), loop.rows
    chosen = START if kept is start else START_WITH_NEIGHBOURS if kept is base else TRAINED
    if GRADIENTS not in planned:
        say(f"Nothing is trained, as privacy.neighbours is 1; the run is the {chosen}.")
    elif chosen != TRAINED:
        say(f"The run keeps the untrained {chosen}: validation, asked with noise, does not find training any better.")
    ledger = private_ledger(config, planned, people=people, batch=batch, kept=chosen)
    NoiseSource.forget(workdir)
    epsilons = ", ".join(f"{value:.3g} ({relation})" for relation, value in ledger.epsilons().items())
    say(f"ε = {epsilons} at δ = {ledger.delta:g}, for all events of one of {people} people")
    return FitResult(kept, rows, ledger=ledger, items=items)


def public_start(dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig) -> NextItemModel:
    """The untrained model, which depends on the catalogue, the texts and the event kinds, and on no event.

    Args:
        dataset, text_vectors, config: As for `fit_private`.
    """
    model = build_from_catalogue(dataset, text_vectors, config)
    if model.repeats is not None:
        model.repeats.start_at(NEVER if config.retrieval.exclude_seen == "true" else 0.0)
    return model


def _may_have_neighbours(dataset: PreparedDataset) -> bool:
    """Whether the catalogue is small enough for noisy neighbours; says so where it is not."""
    if dataset.num_items > MOST_ITEMS:
        say(f"There are no co-occurrence neighbours: the catalogue has more than {MOST_ITEMS} items.")
    return dataset.num_items <= MOST_ITEMS


def _with_neighbours(
    start: NextItemModel,
    dataset: PreparedDataset,
    items: pl.DataFrame,
    planned: Mapping[str, Mechanism],
    source: NoiseSource,
) -> list[NextItemModel]:
    """Copies of the start with noisy neighbours, one for each of `_WEIGHTS`; none without neighbours."""
    if NEIGHBOURS not in planned or start.memory is None or not start.memory.k:
        return []
    training, counted = dataset.training(), taken(dataset.training(), dataset.event_kinds)
    multiplier = planned[NEIGHBOURS].multiplier
    near = noisy_neighbours(training, dataset.num_items, start.memory.k, multiplier, source, counted)
    counts = items[schema.TRAIN_COUNT].to_numpy() if COUNTS in planned else None
    models = [copy_of(start) for _ in _WEIGHTS]
    for model, (weight, text_weight, cosine) in zip(models, _WEIGHTS, strict=True):
        assert model.memory is not None
        model.memory.remember(near, None, counts)
        texts = text_weight if model.memory.text_k else None
        model.memory.assign(weight=weight, text_weight=texts, decay=_DECAY)
        model.log_temperature.assign_sub(np.log(np.float32(cosine)))
    return models


def copy_of(model: NextItemModel) -> NextItemModel:
    """A model with the same weights."""
    copy = NextItemModel.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def _trained(
    start: NextItemModel,
    batches: PoissonBatches,
    config: RunConfig,
    planned: Mapping[str, Mechanism],
    sizes: tuple[int, int],
    source: NoiseSource,
    run: tuple[Path, bool, Callable[[int, dict[str, Any] | None], None] | None],
) -> tuple[NextItemModel, FitLoop]:
    """A copy of the start after all epochs, and the loop that ran them."""
    (batch, steps), (workdir, resume, after_epoch), options = sizes, run, config.training
    model = copy_of(start)
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


def _released_items(dataset: PreparedDataset, planned: Mapping[str, Mechanism], source: NoiseSource) -> pl.DataFrame:
    """The catalogue with noisy counts, or with zeros without them."""
    counts = np.zeros(dataset.num_items, np.int64)
    if COUNTS in planned:
        counts = noisy_counts(dataset.training(), dataset.num_items, planned[COUNTS].multiplier, source)
    return dataset.items.with_columns(pl.Series(schema.TRAIN_COUNT, counts, dataset.items[schema.TRAIN_COUNT].dtype))
