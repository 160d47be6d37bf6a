"""Fits a NextItemModel: windows of histories, cosine schedule, validation, checkpoint after every epoch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.config import RunConfig
from tfrec.data.dataset import Histories, PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import write_json
from tfrec.keras import keras
from tfrec.models.next_item.input_pipeline import augmentation_of, batches
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.validation import finally_balanced, validation
from tfrec.models.next_item.warm_start import start_from
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.neighbours import history_neighbours, softly_whitened, text_neighbours
from tfrec.models.shared.text_dropout import TextVersions
from tfrec.progress import say
from tfrec.retrieval.approximate.kmeans import neighbourhoods
from tfrec.runs.run import HISTORY_FILE, TENSORBOARD_FOLDER, WEIGHTS_FILE
from tfrec.training.callbacks import BestWeights, History, StopOnNaN, TimeBudget
from tfrec.training.fit_result import FitResult
from tfrec.training.lazy_adam import LazyAdam
from tfrec.training.target_kinds import label_shares, warn_of_unlearnt

COMPARED = 100_000
"""Items of which each text is compared with each other: three minutes. Of more, those in lists near to its own are."""

NEVER = -1000.0
"""The bias on repeats where there are none."""


def build_next_item_model(
    dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig
) -> NextItemModel:
    """A NextItemModel for the dataset, its text path started at the principal components of `text_vectors`.

    Args:
        dataset: The catalogue and the event kinds.
        text_vectors: float32 `[num_items, text_dim]`; None builds a model of ids alone.
        config: Its `model` section gives the sizes; a width above that of the text vectors is cut to it.
    """
    knobs = config.model
    text_dim = 0 if text_vectors is None else text_vectors.shape[1]
    dim = min(knobs.dim, text_dim) if text_dim else knobs.dim
    if dim % knobs.heads:
        raise InvalidInput(
            f"model.heads must divide the width; received {knobs.heads} heads and width {dim}. Set model.heads=1?"
        )
    training = dataset.training()
    model = NextItemModel(
        num_items=dataset.num_items,
        num_event_kinds=len(dataset.event_kinds),
        text_dim=text_dim,
        dim=dim,
        layers=knobs.layers,
        heads=knobs.heads,
        max_history=knobs.max_history,
        memory_history=knobs.memory_history or memory_length(training.lengths, knobs.max_history),
        dropout=knobs.dropout,
        temperature=knobs.temperature,
        use_id=knobs.use_id or not text_dim,
        id_rate=knobs.id_rate,
        id_dropout=knobs.id_dropout,
        item_dropout=knobs.item_dropout,
        repeat_bias=knobs.repeat_bias,
        repeat_kinds=knobs.repeat_kinds,
        neighbours=min(knobs.neighbours, dataset.num_items - 1),
        text_neighbours=min(knobs.text_neighbours, dataset.num_items - 1) if text_dim else 0,
        neighbour_window=knobs.neighbour_window,
        popular=min(knobs.popular, dataset.num_items),
        seed=config.training.seed,
        dtype_policy="mixed_bfloat16" if config.training.mixed_bfloat16 else "float32",
    )
    if text_vectors is not None:
        model.items.start_from(text_vectors)
    counts = np.bincount(training.items, minlength=dataset.num_items)
    model.unseen.assign(np.where(counts > 0, 0, -1e9).astype(np.float32))
    if model.repeats is not None:
        repeats = min(0.0, repeat_log_odds(training, dataset.num_items))
        model.repeats.start_at(repeats)
    if model.popularity is not None:
        wanted = training.items[training.is_target]
        model.popularity.remember(np.bincount(wanted, minlength=dataset.num_items))
    if model.memory is not None:
        near = alike = None
        if model.memory.k:
            near = history_neighbours(training, dataset.num_items, model.memory.k, model.memory.window)
        if model.memory.text_k and text_vectors is not None:
            texts = softly_whitened(text_vectors)
            where = neighbourhoods(texts) if dataset.num_items > COMPARED else None
            alike = text_neighbours(texts, model.memory.text_k, where)
        model.memory.remember(near, alike, counts)
    if config.training.start_from:
        start_from(model, dataset, config.training.start_from)
        # No step leads out of a mask, so whether there is one is told by the data, not by the run before.
        if model.repeats is not None and (float(model.repeats.numbers[1]) < NEVER / 2) != (repeats == NEVER):
            model.repeats.start_at(repeats)
    return model


def memory_length(lengths: np.ndarray, at_least: int, at_most: int = 500) -> int:
    """Events that the bias on repeats and the memory read: `at_least`, or the least of 100, 200 and 500 that holds nine
    of ten histories; `at_most` where none up to it does.

    Example:
        >>> [memory_length(np.full(10, length), at_least=50) for length in (7, 70, 7000)]
        [50, 100, 500]
    """
    most = np.quantile(lengths, 0.9) if len(lengths) else 0
    enough = (length for length in (at_least, 100, 200, 500) if most <= length <= max(at_least, at_most))
    return next(enough, max(at_least, at_most))


def repeat_log_odds(training: Histories, num_items: int) -> float:
    """Log of how much more often people repeat than by chance; the bias on items already taken starts there when it is
    below 0, for where people never repeat it has far to go.

    Kept within −6…6; without training events it is 0. Where nobody repeats, and a hundred would have by chance, it is
    −1000, which no score makes up for: the log takes each item once, as one of ratings does.
    """
    rows = np.repeat(np.arange(len(training), dtype=np.int64), np.diff(training.offsets))
    if not len(rows):
        return 0.0
    distinct = len(np.unique(rows * num_items + training.items))
    repeats = len(rows) - distinct
    position = np.arange(len(rows)) - training.offsets[:-1][rows]
    by_chance = float(np.minimum(position, num_items).sum() / num_items)
    if not repeats and by_chance >= 100:
        return NEVER
    return float(np.clip(np.log((repeats + 0.5) / (by_chance + 0.5)), -6, 6))


def fit_next_item(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    *,
    workdir: Path,
    resume: bool = False,
    goes_on: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    shortened: np.ndarray | None = None,
) -> FitResult:
    """Fits on the training split and keeps the weights that validate best.

    Every random choice depends on the seed and the position in the run alone, and a checkpoint is written after every
    epoch: a fit that is killed and resumed ends with the weights of one that was not.

    Args:
        dataset: Training sequences and validation queries.
        text_vectors: float32 `[num_items, text_dim]`, or None.
        config: Sections `model` and `training`.
        workdir: Folder for checkpoint, weights and history.
        resume: Whether to go on from the checkpoint in `workdir`, if there is one.
        goes_on: Whether the model is trained on after this, so that its parts are not balanced yet.
        after_epoch: Called with each epoch and its metrics, last of all; may raise to stop.
        shortened: float32 `[versions, num_items, text_dim]`, of `shorter_texts`, read in training in turn with
            `text_vectors`.
    """
    knobs = config.training
    warn_of_unlearnt(dataset)
    shares = label_shares(dataset, knobs.behaviour_weights)
    windows = Windows.cut(dataset.training(), config.model.max_history, shares)
    if not len(windows):
        raise InvalidInput("No user has two training events, so there is nothing to learn from. Add events.")
    batch_size = knobs.batch_size_for(len(windows))
    steps = windows.steps(batch_size)
    negatives = knobs.negatives_for(int((windows.stop - windows.start - 1).sum()), dataset.num_items)
    if negatives != knobs.negatives and negatives != "all":
        say(f"Each step draws {knobs.sample} negatives (training.negatives=mixed): the whole catalogue would take long")
    with strategy(knobs.strategy).scope():
        keras.utils.set_random_seed(knobs.seed)
        model = build_next_item_model(dataset, text_vectors, config)
        if negatives != "all":
            counts = np.bincount(windows.histories.items, minlength=dataset.num_items)
            model.learn_from(CandidateSampler(negatives, counts, knobs.sample, knobs.seed), knobs.loss)
        elif knobs.loss != "softmax":
            raise InvalidInput(f"training.loss={knobs.loss} needs sampled negatives. Set training.negatives=uniform.")
        model.contrastive = knobs.contrastive
        if shortened is not None:
            model.items.versions = TextVersions(shortened, knobs.seed)
        model.compile(optimizer=_optimizer(config, steps * knobs.epochs))
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
    augmentation = augmentation_of(config, model, dataset.training())
    best = BestWeights(
        validation(model, dataset, config),
        monitor="loss" if knobs.monitor == "loss" else "ndcg@10",
        path=workdir / WEIGHTS_FILE,
        first_epoch=int(knobs.validate_from * knobs.epochs),
        patience=knobs.patience,
    )
    checkpoint = EpochCheckpoint(workdir / "checkpoint", model, best)
    epoch, rows = checkpoint.restore() if resume else (0, [])
    checkpoint.rows = rows
    callbacks = [StopOnNaN(), *([TimeBudget(knobs.time_budget)] if knobs.time_budget else [])]
    callbacks += [best, History(workdir / HISTORY_FILE, rows)]
    callbacks += [keras.callbacks.TensorBoard(str(workdir / TENSORBOARD_FOLDER), write_graph=False), checkpoint]
    callbacks += [keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)] if after_epoch else []
    if epoch < knobs.epochs and not checkpoint.stopped:
        model.fit(
            batches(windows, config, batch_size, epoch, knobs.epochs, augmentation),
            initial_epoch=epoch,
            epochs=knobs.epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=0,
        )
    chosen = NextItemModel.from_config(model.get_config())  # outside the strategy: one device reads it from here on
    chosen.load_weights(str(workdir / WEIGHTS_FILE))
    metrics = best.best_metrics
    if knobs.balance and metrics and not goes_on:
        metrics = finally_balanced(chosen, dataset, config, metrics)
    return FitResult(model=chosen, history=rows, metrics_valid=metrics)


class EpochCheckpoint(keras.callbacks.Callback):
    """Model, optimiser and the state of the choice, written after every epoch; the state file is written last."""

    def __init__(self, folder: Path, model: keras.Model, best: BestWeights) -> None:
        super().__init__()
        self.folder, self.best = folder, best
        self.rows: list[dict[str, Any]] = []
        self.stopped = False
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    def restore(self) -> tuple[int, list[dict[str, Any]]]:
        """Takes up the last complete checkpoint; returns the epochs done and their history."""
        path = self.folder / "state.json"
        if not path.is_file():
            return 0, []
        state = json.loads(path.read_text())
        self._checkpoint.restore(str(self.folder / state["name"])).expect_partial()
        self.best.restore(state["best"])
        self.stopped = state["stopped"]
        return state["epoch"], state["rows"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"epoch-{epoch + 1}"
        self._checkpoint.write(str(self.folder / name))
        state = {"epoch": epoch + 1, "name": name, "stopped": self.model.stop_training}
        write_json(self.folder / "state.json", {**state, "best": self.best.state(), "rows": self.rows})
        for old in self.folder.glob(f"epoch-{epoch}.*"):
            old.unlink()


def _optimizer(config: RunConfig, steps: int) -> keras.optimizers.Optimizer:
    knobs = config.training
    warmup = int(knobs.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else knobs.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=knobs.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    average = {"use_ema": True, "ema_momentum": knobs.ema} if knobs.ema else {}
    return LazyAdam(
        schedule,
        beta_2=0.98,
        clipnorm=5.0,
        weight_decay=knobs.weight_decay or None,  # of 0, Keras would read and write every weight for nothing
        **average,
    )


def strategy(name: str) -> tf.distribute.Strategy:
    """What `training.strategy` names; "none" is TensorFlow's default."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()
