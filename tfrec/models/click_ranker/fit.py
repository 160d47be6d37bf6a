"""Fits a ClickRanker on impressions or sampled negatives, then calibrates it on validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.click_ranker.calibration import calibrate, head_metrics
from tfrec.models.click_ranker.context_features import ContextFeatures
from tfrec.models.click_ranker.evaluate import mean_over_heads
from tfrec.models.click_ranker.examples import (
    RankerExamples,
    TrainingNegatives,
    evaluation_examples,
    inputs_of,
    select_examples,
    training_examples,
)
from tfrec.models.click_ranker.labels import implied_behaviours
from tfrec.models.click_ranker.model import ClickRanker, behaviour_loss
from tfrec.models.click_ranker.predictor import ClickRankerPredictor
from tfrec.models.shared.history_statistics import memory_length
from tfrec.training.distribution import strategy
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.optimizers import adamw
from tfrec.training.target_kinds import behaviour_weights, behaviours_to_learn


def build_click_ranker(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    behaviours: list[str],
    examples: RankerExamples,
) -> ClickRanker:
    """An untrained ClickRanker for a dataset, initialised with counts of the training events.

    Args:
        dataset: The catalogue and the event kinds.
        text_vectors: float32 `[num_items, text_dim]`; None for a model of item ids alone.
        config: Sections `ranker`, `model` and `training`.
        behaviours: Names of the heads.
        examples: The training examples, for their context columns and the share of positives of each behaviour.
    """
    text_dim = 0 if text_vectors is None else text_vectors.shape[1]
    features = ContextFeatures.fit(examples.context)
    model = ClickRanker(
        num_items=dataset.num_items,
        num_event_kinds=len(dataset.event_kinds),
        behaviours=behaviours,
        multi_task=config.ranker.multi_task,
        text_dim=text_dim,
        dim=min(config.ranker.dim, text_dim) if text_dim else config.ranker.dim,
        max_history=ranker_history_length(dataset, config),
        cross_layers=config.ranker.cross_layers,
        mlp_units=config.model.mlp_units,
        dropout=config.model.dropout,
        use_id=config.model.use_id or not text_dim,
        id_rate=config.model.id_rate,
        context=features.to_json() if features.columns else None,
        seed=config.training.seed,
        dtype_policy="mixed_bfloat16" if config.training.mixed_bfloat16 else "float32",
    )
    training, popularity = dataset.training(), np.zeros((dataset.num_items, len(behaviours)))
    acts = implied_behaviours(dataset.event_kinds, behaviours)[training.events] * training.is_target[:, None]
    np.add.at(popularity, training.items, acts)
    candidates = 1 if examples.given else 1 + config.ranker.negatives + config.ranker.history_negatives
    model.start_at(examples.labels[:, 0].mean(axis=0) / candidates, popularity, text_vectors)
    return model


def fit_click_ranker(
    dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig, *, workdir: Path, resume: bool = False
) -> FitResult:
    """Fits on the training split, keeps the weights with the best validation metric, and calibrates on validation.

    All randomness depends only on the seed and the position in the run, and a checkpoint is written after every epoch,
    so a fit that was killed and resumed ends with the same weights as an uninterrupted one.

    Args:
        dataset: Training sequences and validation queries.
        text_vectors: float32 `[num_items, text_dim]`, or None.
        config: Sections `ranker`, `model` and `training`.
        workdir: Folder for checkpoints, weights and history.
        resume: Whether to continue from the checkpoint in `workdir`, if there is one.

    Raises:
        InvalidInput: A requested or weighted behaviour never occurs in training, there are no training examples, or
            `training.monitor` is ndcg@10.
    """
    options = config.training
    if options.monitor == "ndcg@10":
        raise InvalidInput("A click-ranker does not rank the catalogue: training.monitor must be auto, auc or loss.")
    loop = FitLoop(workdir, resume=resume, time_budget=options.time_budget)
    behaviours = behaviours_to_learn(dataset, config.ranker.behaviours)
    weights = behaviour_weights(dataset, options.behaviour_weights)
    weight_of = dict(zip(dataset.event_kinds, weights.tolist()))
    examples = training_examples(dataset, behaviours, config.ranker.horizon)
    batches = _Batches(examples, dataset, config)
    with strategy(options.strategy).scope():
        keras.utils.set_random_seed(options.seed)
        model = build_click_ranker(dataset, text_vectors, config, behaviours, examples)
        model.compile(
            optimizer=adamw(options, batches.steps * options.epochs),
            loss=behaviour_loss([weight_of[kind] for kind in behaviours]),
        )
        model.optimizer.build(model.trainable_variables)  # otherwise the first step is traced twice
    batches.context = model.context
    validation_examples = evaluation_examples(dataset, schema.VALID, behaviours, config)
    best = loop.run(
        Stage(
            model=model,
            batches=batches.dataset,
            steps=batches.steps,
            epochs=options.epochs,
            validate=_validation(model, validation_examples),
            monitor="loss" if options.monitor == "loss" else "auc",
            patience=options.patience,
        )
    )
    chosen = ClickRanker.from_config(model.get_config())  # outside the strategy: from here on one device uses it
    chosen.load_weights(str(best))
    metrics: dict[str, Any] = dict(loop.metrics)
    if validation_examples is not None and config.ranker.calibration == "platt":
        metrics["calibration"] = calibrate(chosen, validation_examples)
    return FitResult(model=chosen, history=loop.rows, metrics_valid=metrics)


def ranker_history_length(dataset: PreparedDataset, config: RunConfig) -> int:
    """Newest events of a history that the ranker sees; by default as many as the memory of next-item uses."""
    options = config.model
    return options.memory_history or memory_length(dataset.training().lengths, options.max_history, at_most=200)


class _Batches:
    """Training batches; those of an epoch depend only on the seed and the epoch number."""

    def __init__(self, examples: RankerExamples, dataset: PreparedDataset, config: RunConfig) -> None:
        self.examples, self.config = examples, config
        self.context = ContextFeatures({}, {})
        self.length = ranker_history_length(dataset, config)
        self.size = config.training.batch_size_for(len(examples))
        self.steps = -(-len(examples) // self.size)
        self.negatives = None if examples.given else TrainingNegatives(examples, dataset.num_items, config.ranker)

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches of the epochs from `first_epoch` up to, not including, `epochs`."""

        def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
            for epoch in range(first_epoch, epochs):
                rng = np.random.default_rng([self.config.training.seed, epoch])
                order = rng.permutation(len(self.examples))
                for start in range(0, len(order), self.size):
                    yield self.batch(order[start : start + self.size], rng)

        inputs, labels = self.batch(np.arange(1), np.random.default_rng(0))
        spec = {
            name: tf.TensorSpec([None, value.shape[1] if name.startswith("context") else None], value.dtype)
            for name, value in inputs.items()
        }
        target = tf.TensorSpec([None, None, labels.shape[2]], tf.float32)
        return tf.data.Dataset.from_generator(generate, output_signature=(spec, target)).prefetch(4)

    def batch(self, picked: np.ndarray, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and labels of the examples at the indices `picked`.

        The context of a random share is hidden, so that the model also learns to predict without it.
        """
        part = select_examples(self.examples, picked)
        if self.negatives is not None:
            part = self.negatives.draw(part, rng)
        inputs = inputs_of(part, np.arange(len(part)), self.length)
        context = self.context.encode(part.context, len(part))
        hidden = rng.random(len(part)) < self.config.ranker.context_dropout
        for values in context.values():
            values[hidden] = 0
        return {**inputs, **context}, part.labels


def _validation(model: ClickRanker, validation_examples: RankerExamples | None) -> Callable[[], dict[str, float]]:
    """A function that returns AUC and log loss on the validation examples; no metrics if there are none."""
    if validation_examples is None:
        return dict
    predictor = ClickRankerPredictor(model)

    def validate() -> dict[str, float]:
        predictor.refresh()
        probabilities = predictor.probabilities(
            validation_examples.histories,
            validation_examples.rows,
            validation_examples.candidates,
            stops=validation_examples.stops,
            context=validation_examples.context,
        )
        means = mean_over_heads(head_metrics(validation_examples.labels, probabilities, model.behaviours))
        return {name: means[name] for name in ("auc", "log_loss")} | {"loss": means["log_loss"]}

    return validate
