"""Fits a BehaviourTextModel: first the MLP on vectors of the frozen encoder, then, where asked, all of it jointly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import load_encoder
from tfrec.keras import keras
from tfrec.models.behaviour_text.input_pipeline import Batches, Material
from tfrec.models.behaviour_text.model import BehaviourTextModel, build_behaviour_text_model
from tfrec.models.behaviour_text.optimizers import two_speeds
from tfrec.models.behaviour_text.text_features import query_texts, read_names, read_texts
from tfrec.models.behaviour_text.validation import Validation
from tfrec.models.shared.history_statistics import repeat_log_odds
from tfrec.training.callbacks import BestWeights, History, StopOnNaN, TimeBudget
from tfrec.training.distribution import strategy
from tfrec.training.epoch_checkpoint import EpochCheckpoint
from tfrec.training.fit_result import FitResult
from tfrec.training.optimizers import adamw
from tfrec.training.run_layout import HISTORY_FILE, TENSORBOARD_FOLDER


def fit_behaviour_text(
    dataset: PreparedDataset, config: RunConfig, *, workdir: Path, resume: bool = False
) -> FitResult:
    """Fits on the training split and keeps the weights that validate best.

    Stage one reads every text once, keeps its vector, and fits the MLP on the vectors for `training.epochs`, each of
    them validated (`training.validate_from` is for models that take longer). Stage two,
    with `encoder.trainable`, goes on from there for `training.encoder_epochs` with the encoder's own learning rate, in
    steps of `encoder.batch_size` texts: a head that is fitted already does not spoil a pre-trained encoder with its
    first gradients. Candidates as second segments have no vector of their own, so they go to stage two at once.

    Every random choice depends on the seed and the position in the run alone, and a checkpoint is written after every
    epoch: a fit that is killed and resumed ends with the weights of one that was not.

    Args:
        dataset: Training sequences and validation queries.
        config: Sections `encoder`, `model` and `training`.
        workdir: Folder for checkpoints, weights and history.
        resume: Whether to go on from the checkpoint in `workdir`, if there is one.

    Raises:
        InvalidInput: no user has a training event and a target after it.
    """
    fit = _Fit(dataset, config, workdir, resume)
    if fit.model.reads_apart:
        fit.mlp()
    if config.encoder.trainable or not fit.model.reads_apart:
        fit.jointly()
    return FitResult(model=fit.model, history=fit.rows, metrics_valid=fit.metrics)


class _Fit:
    """The state that both stages share."""

    def __init__(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, resume: bool) -> None:
        self.dataset, self.config, self.workdir, self.resume = dataset, config, workdir, resume
        self.started = time.monotonic()
        self.material = Material(dataset, config)
        self.strategy = strategy(config.training.strategy)
        self.model = self.trained = self._build()
        if self.strategy is not tf.distribute.get_strategy():
            # a hub layer that was loaded under a strategy runs in its training steps only: reading, validation and
            # export have a copy
            with self.strategy.scope():
                self.trained = self._build()
        self.validation = Validation(self.model, dataset, config)
        self.loss = "binary_crossentropy" if self.material.sigmoid else "sparse_categorical_crossentropy"
        self.rows: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self.best = -np.inf

    def _build(self) -> BehaviourTextModel:
        head = self.config.model.head
        encoder = load_encoder(self.config.encoder.name)
        return build_behaviour_text_model(encoder, head, self.dataset.texts, self.config)

    def _copy(self) -> None:
        if self.model is not self.trained:
            self.model.set_weights(self.trained.get_weights())

    def _start(self, kept: dict[str, np.ndarray]) -> None:
        if self.material.sigmoid:
            self.trained.start_sigmoid(self.config.model.negatives)
        else:
            counts = self.dataset.items[schema.TRAIN_COUNT].to_numpy()
            repeats = repeat_log_odds(self.material.histories, self.dataset.num_items)
            self.trained.start_softmax(counts, kept["items"], repeats)

    def mlp(self) -> None:
        """Stage one: the MLP, on what the frozen encoder reads."""
        knobs = self.config.training
        kept = self._read()
        self._start(kept)
        batch_size = knobs.batch_size_for(len(self.material.examples.pair_texts))
        steps = -(-len(self.material.examples.pair_texts) // batch_size)
        with self.strategy.scope():
            mlp = self.trained.mlp
            mlp.compile(optimizer=adamw(knobs, steps * knobs.epochs), loss=self.loss)
            mlp.optimizer.build(mlp.trainable_variables)  # else the first step is traced twice
        batches = Batches(self.material, self.model, self.material.every_pair, batch_size, kept)

        def validate() -> dict[str, float]:
            self._copy()
            return self.validation.of_kept(kept)

        self._fit(mlp, "mlp", batches, steps, knobs.epochs, validate)

    def jointly(self) -> None:
        """Stage two: the whole model, on strings."""
        knobs = self.config.training
        size = self.config.encoder.batch_size
        steps = -(-min(len(self.material.examples), knobs.encoder_examples or len(self.material.examples)) // size)
        with self.strategy.scope():
            optimizer = two_speeds(self.trained, knobs, steps * knobs.encoder_epochs)
            self.trained.compile(optimizer=optimizer, loss=self.loss)
        batches = Batches(self.material, self.model, self.material.one_pair_each, size)

        def validate() -> dict[str, float]:
            self._copy()
            return self.validation.of_model()

        self._fit(self.trained, "joint", batches, steps, knobs.encoder_epochs, validate)

    def _fit(
        self,
        model: keras.Model,
        stage: str,
        batches: Batches,
        steps: int,
        epochs: int,
        validate: Callable[[], dict[str, float]],
    ) -> None:
        path = self.workdir / "checkpoint" / f"best-{stage}"  # not .h5, which a model not fitted yet cannot load
        patience = self.config.training.patience
        best = BestWeights(validate, self.validation.monitor, path, first_epoch=0, patience=patience)
        before = len(self.rows)  # epochs of the stage before; their numbers go on
        if self.metrics:
            best.restore({"best": self.best, "best_metrics": self.metrics, "waited": 0})
        checkpoint = EpochCheckpoint(self.workdir / "checkpoint" / stage, model, best)
        epoch, rows = checkpoint.restore() if self.resume else (0, [])
        if not epoch:
            epoch, rows = before, self.rows
            if self.metrics:
                model.save_weights(str(path))
        self.rows = checkpoint.rows = rows
        callbacks = [StopOnNaN(), *self._budget(), best, History(self.workdir / HISTORY_FILE, rows)]
        callbacks += [keras.callbacks.TensorBoard(str(self.workdir / TENSORBOARD_FOLDER / stage), write_graph=False)]
        if epoch < before + epochs and not checkpoint.stopped:
            model.fit(
                batches.dataset(epoch, before + epochs),
                initial_epoch=epoch,
                epochs=before + epochs,
                steps_per_epoch=steps,
                callbacks=[*callbacks, checkpoint],
                verbose=0,
            )
        model.stop_training = False
        model.load_weights(str(path))
        self._copy()
        self.metrics, self.best = best.best_metrics, best.best

    def _budget(self) -> list[TimeBudget]:
        minutes = self.config.training.time_budget
        return [TimeBudget(max(0.0, minutes - (time.monotonic() - self.started) / 60))] if minutes else []

    def _read(self) -> dict[str, np.ndarray]:
        """What the model reads in every text that stage one needs; kept in the checkpoint, for a resumed fit."""
        path = self.workdir / "checkpoint" / "read.npz"
        if self.resume and path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        size = self.config.encoder.batch_size
        reader = self.model.reader
        texts = self.material.texts(self.model, np.arange(len(self.material.examples)))
        valid = query_texts(self.model, self.validation.queries.history, self.dataset)
        kept = {
            "texts": read_texts(reader, texts, size, "Reading behaviour texts"),
            "valid": read_texts(reader, valid, size, "Reading validation texts"),
            "items": read_texts(self.model.item_reader, self.dataset.texts, size, "Reading item texts"),
        }
        if self.model.named is not None:
            kept["texts_named"] = read_names(self.model.named, texts)
            kept["valid_named"] = read_names(self.model.named, valid)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("read.tmp.npz")
        np.savez(temporary, allow_pickle=False, **kept)
        temporary.replace(path)
        return kept
