"""Fits a BehaviourTextModel: first the MLP on frozen text vectors, then, if configured, the encoder with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.impressions import taken
from tfrec.encoders.load import load_configured
from tfrec.files.stored_folder import read_arrays
from tfrec.models.behaviour_text.input_pipeline import Batches, TrainingExamples
from tfrec.models.behaviour_text.model import BehaviourTextModel, build_behaviour_text_model
from tfrec.models.behaviour_text.optimizers import joint_optimizer
from tfrec.models.behaviour_text.text_features import encode_texts, named_items, query_texts
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
    """Fits on the training split and keeps the weights with the best validation metrics.

    Stage one encodes every text once and fits the MLP on the cached vectors for `training.epochs`. Every epoch is
    validated; `training.validate_from` does not apply. Stage two runs only with `encoder.trainable`. It trains encoder
    and MLP together for `training.encoder_epochs`, in batches of `encoder.batch_size` texts, with a separate learning
    rate for the encoder. The MLP is fitted first because large gradients from an untrained head would damage the
    pre-trained encoder. With `model.candidate: segment`, behaviour and candidate are encoded together, so there is
    nothing to cache, and the fit starts with stage two.

    All randomness depends only on the seed and the position in the run, and a checkpoint is written after every epoch,
    so a fit that was killed and resumed ends with the same weights as an uninterrupted one.

    Args:
        dataset: Training sequences and validation queries.
        config: Sections `encoder`, `model` and `training`.
        workdir: Folder for checkpoints, weights and history.
        resume: Whether to continue from the checkpoint in `workdir`, if there is one.

    Raises:
        InvalidInput: No user has a target event after another training event.
    """
    fit = _Fit(dataset, config, workdir, resume)
    if fit.model.encodes_separately:
        fit.fit_mlp()
    if config.encoder.trainable or not fit.model.encodes_separately:
        fit.fit_jointly()
    return FitResult(model=fit.model, history=fit.loop.rows, metrics_valid=fit.loop.metrics)


class _Fit:
    """State shared by the two stages."""

    def __init__(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, resume: bool) -> None:
        self.dataset, self.config, self.workdir, self.resume = dataset, config, workdir, resume
        self.loop = FitLoop(workdir, resume=resume, time_budget=config.training.time_budget)
        self.examples = TrainingExamples(dataset, config)
        self.strategy = strategy(config.training.strategy)
        self.model = self.trained = self._build()
        if self.strategy is not tf.distribute.get_strategy():
            # A hub layer loaded under a strategy runs only inside that strategy's training steps, so encoding,
            # validation and export use a second copy of the model.
            with self.strategy.scope():
                self.trained = self._build()
        self.validation = Validation(self.model, dataset, config)
        self.loss = "binary_crossentropy" if self.examples.sigmoid else "sparse_categorical_crossentropy"

    def _build(self) -> BehaviourTextModel:
        head = self.config.model.head
        encoder = load_configured(self.config.encoder)
        return build_behaviour_text_model(encoder, head, self.dataset.texts, self.config)

    def _sync_weights(self) -> None:
        """Copies the trained weights to the model used for encoding, validation and export."""
        if self.model is not self.trained:
            self.model.set_weights(self.trained.get_weights())

    def _initialize_head(self, encoded: dict[str, np.ndarray]) -> None:
        if self.examples.sigmoid:
            self.trained.start_sigmoid(self.config.model.negatives)
        else:
            counts = self.dataset.items[schema.TRAIN_COUNT].to_numpy()
            repeats = repeat_log_odds(self.examples.histories, self.dataset.num_items)
            self.trained.start_softmax(counts, encoded["items"], repeats)
            if self.trained.transitions is not None:
                histories = self.examples.histories
                self.trained.transitions.count(histories, taken(histories, self.dataset.event_kinds))

    def fit_mlp(self) -> None:
        """Stage one: fits the MLP on vectors from the frozen encoder."""
        options = self.config.training
        encoded = self._encoded_texts()
        self._initialize_head(encoded)
        batch_size = options.batch_size_for(len(self.examples.sampled.pair_texts))
        steps = -(-len(self.examples.sampled.pair_texts) // batch_size)
        with self.strategy.scope():
            mlp = self.trained.mlp
            mlp.compile(optimizer=adamw(options, steps * options.epochs), loss=self.loss)
            mlp.optimizer.build(mlp.trainable_variables)  # otherwise the first step is traced twice
        batches = Batches(self.examples, self.model, self.examples.every_pair, batch_size, encoded)

        def validate() -> dict[str, float]:
            self._sync_weights()
            metrics = self.validation.metrics_of_encoded(encoded)
            chosen, trained = self.model.transitions, self.trained.transitions
            if chosen is not None and trained is not None:
                trained.share.assign(chosen.share)  # the weights that are kept are those of `trained`
            return metrics

        self._fit(
            Stage(
                name="mlp",
                model=mlp,
                batches=batches.dataset,
                steps=steps,
                epochs=options.epochs,
                validate=validate,
                **self._choice,
            )
        )

    def fit_jointly(self) -> None:
        """Stage two: fits encoder and MLP together, on texts."""
        options = self.config.training
        size = self.config.encoder.batch_size
        steps = -(-min(len(self.examples.sampled), options.encoder_examples or len(self.examples.sampled)) // size)
        with self.strategy.scope():
            optimizer = joint_optimizer(self.trained, options, steps * options.encoder_epochs)
            self.trained.compile(optimizer=optimizer, loss=self.loss)
        batches = Batches(self.examples, self.model, self.examples.one_pair_each, size)

        def validate() -> dict[str, float]:
            self._sync_weights()
            return self.validation.metrics_of_model()

        self._fit(
            Stage(
                name="joint",
                model=self.trained,
                batches=batches.dataset,
                steps=steps,
                epochs=options.encoder_epochs,
                validate=validate,
                start=lambda: self.loop.metrics,
                **self._choice,
            )
        )

    @property
    def _choice(self) -> dict[str, Any]:
        """How both stages select their best epoch."""
        patience = self.config.training.patience
        # TensorFlow's format, because a model that was never fitted cannot load .h5
        return {"monitor": self.validation.monitor, "patience": patience, "weights": "best"}

    def _fit(self, stage: Stage) -> None:
        best = self.loop.run(stage)
        stage.model.load_weights(str(best))
        self._sync_weights()

    def _encoded_texts(self) -> dict[str, np.ndarray]:
        """All encoded texts that stage one needs; stored with the checkpoint, so a resumed fit need not encode again.

        Returns:
            float32 vectors `[n, dim]` of the training texts ("texts"), the validation texts ("valid") and the items
            ("items"). For the softmax head also the items named in the texts, int32 `[n, events]`: "texts_named" and
            "valid_named".
        """
        path = self.workdir / CHECKPOINT_FOLDER / "read.npz"
        if self.resume and path.is_file():
            return read_arrays(path, "Start again with --force, without --resume.")
        size = self.config.encoder.batch_size
        encoder = self.model.behaviour_encoder
        texts = self.examples.texts(self.model, np.arange(len(self.examples.sampled)))
        valid = query_texts(self.model, self.validation.queries.history, self.dataset)
        encoded = {
            "texts": encode_texts(encoder, texts, size, "Encoding behaviour texts"),
            "valid": encode_texts(encoder, valid, size, "Encoding validation texts"),
            "items": encode_texts(self.model.item_encoder, self.dataset.texts, size, "Encoding item texts"),
        }
        if self.model.named is not None:
            encoded["texts_named"] = named_items(self.model.named, texts)
            encoded["valid_named"] = named_items(self.model.named, valid)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("read.tmp.npz")
        np.savez(temporary, allow_pickle=False, **encoded)
        temporary.replace(path)
        return encoded
