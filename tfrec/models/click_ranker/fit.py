"""Fits a ClickRanker: seeded negatives or given impressions, validation, a checkpoint an epoch, then calibration."""

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
    inputs_of,
    judged_examples,
    some,
    training_examples,
)
from tfrec.models.click_ranker.labels import fulfilled
from tfrec.models.click_ranker.model import ClickRanker, behaviour_loss
from tfrec.models.click_ranker.predictor import ClickRankerJudge
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
    """A ClickRanker for the dataset, started at what training counts.

    Args:
        dataset: The catalogue and the event kinds. text_vectors: float32 `[num_items, text_dim]`; None for ids alone.
        config: Sections `ranker`, `model` and `training`. behaviours: The heads.
        examples: What it will learn from: its context columns, and how often each behaviour follows.
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
        max_history=events_read(dataset, config),
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
    acts = fulfilled(dataset.event_kinds, behaviours)[training.events] * training.is_target[:, None]
    np.add.at(popularity, training.items, acts)
    candidates = 1 if examples.given else 1 + config.ranker.negatives + config.ranker.history_negatives
    model.start_at(examples.labels[:, 0].mean(axis=0) / candidates, popularity, text_vectors)
    return model


def fit_click_ranker(
    dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig, *, workdir: Path, resume: bool = False
) -> FitResult:
    """Fits on the training split, keeps the weights that validate best, and calibrates them on validation.

    Every random choice depends on the seed and the position in the run alone, and a checkpoint is written after every
    epoch: a fit that is killed and resumed ends with the weights of one that was not.

    Args:
        dataset: Training sequences and validation queries.
        text_vectors: float32 `[num_items, text_dim]`, or None.
        config: Sections `ranker`, `model` and `training`.
        workdir: Folder for checkpoint, weights and history.
        resume: Whether to go on from the checkpoint in `workdir`, if there is one.

    Raises:
        InvalidInput: a wanted or weighted behaviour never occurs in training, or there is nothing to learn from.
    """
    knobs = config.training
    if knobs.monitor == "ndcg@10":
        raise InvalidInput("click-ranker ranks no catalogue: training.monitor must be auto, auc or loss.")
    loop = FitLoop(workdir, resume=resume, time_budget=knobs.time_budget)
    behaviours = behaviours_to_learn(dataset, config.ranker.behaviours)
    weights = behaviour_weights(dataset, knobs.behaviour_weights)
    weight_of = dict(zip(dataset.event_kinds, weights.tolist()))
    examples = training_examples(dataset, behaviours, config.ranker.horizon)
    batches = _Batches(examples, dataset, config)
    with strategy(knobs.strategy).scope():
        keras.utils.set_random_seed(knobs.seed)
        model = build_click_ranker(dataset, text_vectors, config, behaviours, examples)
        model.compile(
            optimizer=adamw(knobs, batches.steps * knobs.epochs),
            loss=behaviour_loss([weight_of[kind] for kind in behaviours]),
        )
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
    batches.context = model.context
    judged = judged_examples(dataset, schema.VALID, behaviours, config)
    best = loop.run(
        Stage(
            model=model,
            batches=batches.dataset,
            steps=batches.steps,
            epochs=knobs.epochs,
            validate=_validation(model, judged),
            monitor="loss" if knobs.monitor == "loss" else "auc",
            patience=knobs.patience,
        )
    )
    chosen = ClickRanker.from_config(model.get_config())  # outside the strategy: one device reads it from here on
    chosen.load_weights(str(best))
    metrics: dict[str, Any] = dict(loop.metrics)
    if judged is not None and config.ranker.calibration == "platt":
        metrics["calibration"] = calibrate(chosen, judged)
    return FitResult(model=chosen, history=loop.rows, metrics_valid=metrics)


def events_read(dataset: PreparedDataset, config: RunConfig) -> int:
    """Newest events of a history that a ranker reads: as many as the memory of next-item does, by default."""
    knobs = config.model
    return knobs.memory_history or memory_length(dataset.training().lengths, knobs.max_history, at_most=200)


class _Batches:
    """The batches of an epoch, which depend on the seed and its number alone."""

    def __init__(self, examples: RankerExamples, dataset: PreparedDataset, config: RunConfig) -> None:
        self.examples, self.config = examples, config
        self.context = ContextFeatures({}, {})
        self.length = events_read(dataset, config)
        self.size = config.training.batch_size_for(len(examples))
        self.steps = -(-len(examples) // self.size)
        self.negatives = None if examples.given else TrainingNegatives(examples, dataset.num_items, config.ranker)

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches from `first_epoch` on."""

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
        """Inputs and labels of some examples; the context of a few is hidden, as it is where nobody sends it."""
        part = some(self.examples, picked)
        if self.negatives is not None:
            part = self.negatives.draw(part, rng)
        inputs = inputs_of(part, np.arange(len(part)), self.length)
        context = self.context.encode(part.context, len(part))
        hidden = rng.random(len(part)) < self.config.ranker.context_dropout
        for values in context.values():
            values[hidden] = 0
        return {**inputs, **context}, part.labels


def _validation(model: ClickRanker, judged: RankerExamples | None) -> Callable[[], dict[str, float]]:
    """What measures AUC and log loss on the validation examples; nothing when there are none."""
    if judged is None:
        return dict
    judge = ClickRankerJudge(model)

    def validate() -> dict[str, float]:
        judge.refresh()
        found = judge.probabilities(
            judged.histories, judged.rows, judged.candidates, stops=judged.stops, context=judged.context
        )
        means = mean_over_heads(head_metrics(judged.labels, found, model.behaviours))
        return {name: means[name] for name in ("auc", "log_loss")} | {"loss": means["log_loss"]}

    return validate
