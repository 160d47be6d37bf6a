"""Fits a BehaviourTextModel: first the MLP on vectors of the frozen encoder, then, where asked, all of it jointly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import load_encoder
from tfrec.models.behaviour_text.input_pipeline import Batches, Material
from tfrec.models.behaviour_text.model import BehaviourTextModel, build_behaviour_text_model
from tfrec.models.behaviour_text.optimizers import two_speeds
from tfrec.models.behaviour_text.text_features import query_texts, read_names, read_texts
from tfrec.models.behaviour_text.validation import Validation
from tfrec.models.shared.history_statistics import repeat_log_odds
from tfrec.training.distribution import strategy
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.optimizers import adamw
from tfrec.training.run_layout import CHECKPOINT_FOLDER


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
    return FitResult(model=fit.model, history=fit.loop.rows, metrics_valid=fit.loop.metrics)


class _Fit:
    """The state that both stages share."""

    def __init__(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, resume: bool) -> None:
        self.dataset, self.config, self.workdir, self.resume = dataset, config, workdir, resume
        self.loop = FitLoop(workdir, resume=resume, time_budget=config.training.time_budget)
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

        self._fit(
            Stage(
                name="mlp",
                model=mlp,
                batches=batches.dataset,
                steps=steps,
                epochs=knobs.epochs,
                validate=validate,
                **self._choice,
            )
        )

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

        self._fit(
            Stage(
                name="joint",
                model=self.trained,
                batches=batches.dataset,
                steps=steps,
                epochs=knobs.encoder_epochs,
                validate=validate,
                start=lambda: self.loop.metrics,
                **self._choice,
            )
        )

    @property
    def _choice(self) -> dict[str, Any]:
        """How both stages choose their best epoch."""
        patience = self.config.training.patience
        # not .h5, which a model not fitted yet cannot load
        return {"monitor": self.validation.monitor, "patience": patience, "weights": "best"}

    def _fit(self, stage: Stage) -> None:
        best = self.loop.run(stage)
        stage.model.load_weights(str(best))
        self._copy()

    def _read(self) -> dict[str, np.ndarray]:
        """What the model reads in every text that stage one needs; kept in the checkpoint, for a resumed fit."""
        path = self.workdir / CHECKPOINT_FOLDER / "read.npz"
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
