"""Trains a NextItemModel on a dataset."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.config import RunConfig, TrainingConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.input_pipeline import batches, build_augmentation
from tfrec.models.next_item.learn_from_runs import teachers_of
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.losses.domain_sampler import DomainSampler, build_sampler
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.choice import balance
from tfrec.models.next_item.sharded_trainer import ShardedTrainer, refuse_unsharded
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.next_item.validation import validation
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.hosted_item_table import HostedItemTable
from tfrec.models.shared.modalities import Modality
from tfrec.models.shared.text_dropout import TextVersions
from tfrec.training.distribution import strategy
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.lazy_adam import LazyAdam
from tfrec.training.schedules import warm_cosine
from tfrec.training.sharded_rows import ShardedRows, sharded_rows
from tfrec.training.target_kinds import label_shares, warn_of_unlearnt


def fit_next_item(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    *,
    workdir: Path,
    resume: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    shortened: np.ndarray | None = None,
    earlier: TrainedRun | None = None,
    modalities: Sequence[Modality] = (),
    teachers: Sequence[TrainedRun] = (),
) -> FitResult:
    """Trains on the training split, keeps the weights with the best validation metric, and chooses the score weights.

    All random numbers depend only on the seed and the position in the training, and a checkpoint is written after every
    epoch. So a training that is killed and resumed ends with the same weights as an uninterrupted one.

    Args:
        dataset: Training sequences and validation queries.
        text_vectors: float32 `[num_items, text_dim]`; None for a model of ids alone.
        config: Sections `model`, `training` and `evaluation`.
        workdir: Folder for checkpoint, weights and history.
        resume: bool. Whether to continue from the checkpoint in `workdir`, if there is one.
        after_epoch: Called at the end of each epoch with its number, from 0, and its metrics; may raise to stop.
        shortened: float32 `[versions, num_items, text_dim]`, vectors of shortened texts (`shorter_texts`), which
            alternate with `text_vectors` in training. None for none.
        earlier: The run of `training.start_from`.
        modalities: The modalities that the text vectors consist of (`fuse`); none for text alone.
        teachers: The runs of `training.teachers`.

    Returns:
        The model, the history of its epochs and its validation metrics.

    Raises:
        InvalidInput: No user has two training events, or options do not fit the data or each other.
        Unavailable: A process of `cluster.table_shards` cannot be started, or has died.
    """
    loop = FitLoop(workdir, resume=resume, time_budget=config.training.time_budget, after_epoch=after_epoch)
    options: dict[str, Any] = {
        "shortened": shortened,
        "earlier": earlier,
        "modalities": modalities,
        "teachers": teachers,
    }
    result = fit_frozen(dataset, text_vectors, config, loop, **options)
    balance(result, dataset, config)
    return result


def fit_frozen(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    loop: FitLoop,
    *,
    shortened: np.ndarray | None = None,
    earlier: TrainedRun | None = None,
    stage: str = "",
    budget: float = 1.0,
    modalities: Sequence[Modality] = (),
    teachers: Sequence[TrainedRun] = (),
) -> FitResult:
    """Trains as `fit_next_item` does, but keeps the learned score weights; `fit_end_to_end` continues from the result.

    Args:
        dataset, text_vectors, config, shortened, earlier, modalities, teachers: As for `fit_next_item`.
        loop: Runs the epochs.
        stage: Name of one of several stages that are compared; the model before its training is then compared too.
        budget: Share of the time budget after which the stage ends.
    """
    options = config.training
    warn_of_unlearnt(dataset)
    shares = label_shares(dataset, options.behaviour_weights)
    windows = Windows.cut(dataset.training(), config.model.max_history, shares)
    if dataset.domains:
        windows = windows.by_domain([*dataset.domains.values()], options.domain_temperature)
    if not len(windows):
        raise InvalidInput("No user has two training events, so there is nothing to learn from. Add events.")
    batch_size = options.batch_size_for(len(windows))
    steps = windows.steps(batch_size)
    sampler = negative_sampler(windows, dataset, options)
    refuse_unsharded(config, sampler)
    if sampler is None and options.loss != "softmax":
        raise InvalidInput(f"training.loss={options.loss} needs sampled negatives. Set training.negatives=uniform.")
    if sampler is not None and teachers:
        raise InvalidInput("training.teachers needs the whole catalogue in the loss. Set training.negatives=all.")
    teach = teachers_of(teachers, dataset, config)
    with ExitStack() as stack:
        host = _host(stack, config) if config.cluster.table_shards else None
        with strategy(options.strategy).scope():
            keras.utils.set_random_seed(options.seed)
            model = build_next_item_model(dataset, text_vectors, config, earlier, modalities, host)
            versions = None if shortened is None else TextVersions(shortened, options.seed)
            kind = NextItemTrainer if host is None else ShardedTrainer
            trainer = kind(
                *(model, sampler, options.loss, options.contrastive, versions),
                memory_in_loss=options.memory_in_loss,
                teachers=teach,
            )
            trainer.compile(_optimizer(config, steps * options.epochs), jit_compile=options.jit_compile)
            trainer.optimizer.build(trainer.trainable_variables)  # otherwise the first step is traced twice
        augmentation = build_augmentation(config, model, dataset.training())
        validate = validation(model, dataset, config)
        best = loop.run(
            Stage(
                name=stage,
                start=validate if stage else None,
                budget=budget,
                model=trainer,
                batches=lambda first, stop: batches(windows, config, batch_size, first, stop, augmentation),
                steps=steps,
                epochs=options.epochs,
                validate=validate,
                monitor="loss" if options.monitor == "loss" else "ndcg@10",
                patience=options.patience,
                validate_from=int(options.validate_from * options.epochs),
                rows=trainer.rows,
            )
        )
    shape = model.get_config()
    del model, trainer, validate
    gc.collect()  # with its optimizer, what was trained is several times as large as what is read now
    trained = NextItemModel(**shape, hosted=host is not None)  # outside the strategy, on one device
    trained.load_weights(str(best))
    return FitResult(model=trained, history=loop.rows, metrics_valid=loop.metrics)


def _host(stack: ExitStack, config: RunConfig) -> Callable[[HostedItemTable], ShardedRows]:
    """Makes the processes that hold the id vectors of a table, which end with `stack`."""
    return lambda table: stack.enter_context(
        sharded_rows(config.cluster, table.num_items, table.dim, table.id_stddev, config.training.seed)
    )


def negative_sampler(
    windows: Windows, dataset: PreparedDataset, options: TrainingConfig
) -> CandidateSampler | DomainSampler | None:
    """The sampler of the negatives, one for each domain if there are several; None scores the whole catalogue."""
    counts = np.bincount(windows.histories.items, minlength=dataset.num_items)
    targets, batch_size = windows.stop - windows.start - 1, options.batch_size_for(len(windows))
    if windows.domains is None:
        return build_sampler(options, counts, int(targets.sum()), windows.steps(batch_size))
    sizes = [*dataset.domains.values()]
    samplers = [
        build_sampler(options, part, int(targets[rows].sum()), -(-len(rows) // batch_size))
        for part, (rows, _) in zip(np.split(counts, np.cumsum(sizes)[:-1]), windows.domains, strict=True)
    ]
    return DomainSampler(samplers, sizes)


def _optimizer(config: RunConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam with warm-up and cosine decay over `steps`, as section `training` describes it."""
    options = config.training
    schedule = warm_cosine(options.learning_rate, int(options.warmup * steps), steps)
    average = {"use_ema": True, "ema_momentum": options.ema} if options.ema else {}
    return LazyAdam(
        schedule,
        beta_2=0.98,
        clipnorm=5.0,
        weight_decay=options.weight_decay or None,  # with 0, Keras would still update every weight
        **average,
    )
