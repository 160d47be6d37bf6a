"""Fits a BehaviourTextModel: first the MLP on vectors of the frozen encoder, then, where asked, all of it jointly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import Histories, PreparedDataset, Queries
from tfrec.encoders import load_encoder
from tfrec.evaluation import evaluate_probabilities, evaluate_ranking
from tfrec.keras import keras
from tfrec.models.behaviour_scorer import BehaviourTextScorer
from tfrec.models.behaviour_text import (
    BEHAVIOUR,
    CANDIDATE,
    BehaviourTextModel,
    behaviour_texts,
    build_behaviour_text_model,
)
from tfrec.models.scorer import Scorer
from tfrec.progress import track
from tfrec.training.behaviour_examples import Examples, Impressions, Negatives, some_queries
from tfrec.training.callbacks import BestWeights, History, StopOnNaN, TimeBudget
from tfrec.training.next_item import EpochCheckpoint, strategy
from tfrec.training.result import FitResult
from tfrec.training.run import HISTORY_FILE

VALID_QUERIES = 2000
"""Most validation queries read after each epoch; a seeded sample of more."""

Batch = tuple[dict[str, np.ndarray], np.ndarray]


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


def evaluate_behaviour_text_sigmoid(
    model: BehaviourTextModel, dataset: PreparedDataset, split: str, config: RunConfig
) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of the sigmoid head.

    Each target of a query is judged beside `evaluation.negatives` seeded items that are neither in its history nor
    among its targets. Popularity, the training count of the candidate, is measured on the same pairs.

    Returns:
        What `evaluate_probabilities` gives, and `users`, `items`, `protocol`, `baselines`; empty without queries.
    """
    queries = dataset.queries(split)
    metrics = _judge(queries, dataset, config, lambda pairs: _probabilities(model, queries.history, pairs, dataset))
    if not metrics:
        return {}
    counts = dataset.items[schema.TRAIN_COUNT].to_numpy().astype(np.float64)
    counts /= counts.max(initial=1)
    popularity = _judge(queries, dataset, config, lambda pairs: counts[pairs.items])
    return {
        **metrics,
        "users": len(queries),
        "items": dataset.num_items,
        "protocol": {
            "split": dataset.manifest["split"],
            "part": split,
            "negatives": config.evaluation.negatives,
            "sampling": "uniform over items neither in the history nor among the targets",
        },
        "baselines": {"popularity": {"auc": popularity["auc"]}},
    }


class _Fit:
    """The state that both stages share."""

    def __init__(self, dataset: PreparedDataset, config: RunConfig, workdir: Path, resume: bool) -> None:
        self.dataset, self.config, self.workdir, self.resume = dataset, config, workdir, resume
        self.started = time.monotonic()
        self.histories = dataset.training()
        self.examples = Examples.sample(self.histories, config.training.max_examples, config.training.seed)
        self.sigmoid = config.model.head == "sigmoid"
        rows = np.repeat(np.arange(len(self.histories)), np.diff(self.histories.offsets))
        self.negatives = Negatives(dataset.num_items, rows, self.histories.items)
        self.valid = some_queries(dataset, schema.VALID, VALID_QUERIES, config.training.seed)
        self.strategy = strategy(config.training.strategy)
        with self.strategy.scope():
            encoder = load_encoder(config.encoder.name)
            self.model = build_behaviour_text_model(encoder, config.model.head, dataset.num_items, config)
            self.model.start_from(dataset.items[schema.TRAIN_COUNT].to_numpy(), config.model.negatives)
        self.loss = "binary_crossentropy" if self.sigmoid else "sparse_categorical_crossentropy"
        self.rows: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self.best = -np.inf

    def mlp(self) -> None:
        """Stage one: the MLP, on kept vectors."""
        knobs = self.config.training
        vectors = self._vectors()
        steps = -(-len(self.examples.pair_texts) // knobs.batch_size)
        model = self.model.mlp
        with self.strategy.scope():
            model.compile(optimizer=_adamw(self.config, steps * knobs.epochs), loss=self.loss)
        batches = _Batches(self, self._pairs, knobs.batch_size, vectors)
        self._fit(model, "mlp", batches, steps, knobs.epochs, lambda: self._validate_mlp(vectors))

    def jointly(self) -> None:
        """Stage two: the whole model, on strings."""
        knobs = self.config.training
        size = self.config.encoder.batch_size
        steps = -(-len(self.examples) // size)
        with self.strategy.scope():
            self.model.compile(
                optimizer=_two_speeds(self.model, self.config, steps * knobs.encoder_epochs), loss=self.loss
            )
        batches = _Batches(self, self._one_each, size, None)
        self._fit(self.model, "joint", batches, steps, knobs.encoder_epochs, self._validate_whole)

    def _fit(
        self,
        model: keras.Model,
        stage: str,
        batches: _Batches,
        steps: int,
        epochs: int,
        validate: Callable[[], dict[str, float]],
    ) -> None:
        knobs = self.config.training
        monitor = "loss" if knobs.monitor == "loss" else "auc" if self.sigmoid else "ndcg@10"
        path = self.workdir / "checkpoint" / f"best-{stage}"  # not .h5, which a model not fitted yet cannot load
        best = BestWeights(validate, monitor, path, first_epoch=0, patience=knobs.patience)
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
        callbacks += [keras.callbacks.TensorBoard(str(self.workdir / "tensorboard" / stage), write_graph=False)]
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
        self.metrics, self.best = best.best_metrics, best.best

    def _budget(self) -> list[TimeBudget]:
        minutes = self.config.training.time_budget
        return [TimeBudget(max(0.0, minutes - (time.monotonic() - self.started) / 60))] if minutes else []

    def _pairs(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(self.examples.pair_texts))

    def _one_each(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(self.examples.one_pair_each(rng))

    def texts(self, of: np.ndarray) -> list[str]:
        """Behaviour texts of examples."""
        stops = self.examples.stops[of]
        starts = np.maximum(self.histories.offsets[self.examples.rows[of]], stops - self.model.max_history)
        kinds = self.dataset.event_kinds
        return behaviour_texts(self.histories, starts, stops, self.dataset.texts, kinds, self.model.max_words)

    def _vectors(self) -> dict[str, np.ndarray]:
        """Pooled outputs of every text that stage one needs; kept in the checkpoint, for a resumed fit."""
        path = self.workdir / "checkpoint" / "vectors.npz"
        if self.resume and path.is_file():
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        size = self.config.encoder.batch_size
        valid = _query_texts(self.model, self.valid.history, self.dataset)
        texts = self.texts(np.arange(len(self.examples)))
        vectors = {
            "texts": _read(self.model.reader, texts, size, "Reading behaviour texts"),
            "valid": _read(self.model.reader, valid, size, "Reading validation texts"),
        }
        if self.model.item_reader is not None:
            vectors["items"] = _read(self.model.item_reader, self.dataset.texts, size, "Reading item texts")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("vectors.tmp.npz")
        np.savez(temporary, allow_pickle=False, **vectors)
        temporary.replace(path)
        return vectors

    def _validate_mlp(self, vectors: dict[str, np.ndarray]) -> dict[str, float]:
        if self.sigmoid:
            return self._validate_pairs(lambda pairs: _mlp_probabilities(self.model.mlp, vectors, pairs))
        return self._validate_ranking(_VectorScorer(self.model, vectors["valid"]))

    def _validate_whole(self) -> dict[str, float]:
        if self.sigmoid:
            return self._validate_pairs(
                lambda pairs: _probabilities(self.model, self.valid.history, pairs, self.dataset)
            )
        size = self.config.encoder.batch_size
        return self._validate_ranking(
            BehaviourTextScorer(self.model, self.dataset.texts, self.dataset.event_kinds, size)
        )

    def _validate_pairs(self, judge: Callable[[Impressions], np.ndarray]) -> dict[str, float]:
        found = _judge(self.valid, self.dataset, self.config, judge)
        return {"auc": found["auc"], "log_loss": found["log_loss"], "loss": found["log_loss"]} if found else {}

    def _validate_ranking(self, scorer: Scorer) -> dict[str, float]:
        if not len(self.valid):
            return {}
        watched = _Watched(scorer, self.valid)
        result = evaluate_ranking(
            watched,
            self.valid,
            num_items=self.dataset.num_items,
            exclude_seen=self.config.evaluation.exclude_seen,
            ks=(10,),
            bootstrap=0,
            batch_size=self.config.evaluation.batch_size,
            keep_predictions=0,
        )
        return {**{name: float(result.metrics[name]) for name in ("ndcg@10", "recall@10")}, "loss": watched.loss}


class _Batches:
    """Batches of an epoch: vectors where they are kept, else strings; with negatives for the sigmoid head."""

    def __init__(
        self,
        fit: _Fit,
        order: Callable[[np.random.Generator], np.ndarray],
        size: int,
        vectors: dict[str, np.ndarray] | None,
    ) -> None:
        self.fit, self.order, self.size, self.vectors = fit, order, size, vectors

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches from `first_epoch` on."""

        def generate() -> Iterator[Batch]:
            for epoch in range(first_epoch, epochs):
                yield from self.epoch(epoch)

        names = (BEHAVIOUR, CANDIDATE) if self.vectors else (schema.BEHAVIOUR_TEXT, schema.CANDIDATE_TEXT)
        spec = tf.TensorSpec([None], tf.int64 if self.vectors else tf.string)
        inputs = {name: spec for name in (names if self.fit.sigmoid else names[:1])}
        labels = tf.TensorSpec([None], tf.float32 if self.fit.sigmoid else tf.int32)
        batches = tf.data.Dataset.from_generator(generate, output_signature=(inputs, labels))
        if self.vectors:
            tables = {BEHAVIOUR: tf.constant(self.vectors["texts"])}
            tables |= {CANDIDATE: tf.constant(self.vectors["items"])} if self.fit.sigmoid else {}
            batches = batches.map(lambda rows, y: ({name: tf.gather(tables[name], rows[name]) for name in tables}, y))
        return batches.prefetch(4)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, which depend on the seed and its number alone."""
        rng = np.random.default_rng([self.fit.config.training.seed, epoch])
        order = self.order(rng)
        for start in range(0, len(order), self.size):
            yield self.batch(order[start : start + self.size], rng)

    def batch(self, pairs: np.ndarray, rng: np.random.Generator) -> Batch:
        """Inputs and labels of some pairs."""
        examples = self.fit.examples
        of, items = examples.pair_texts[pairs], examples.pair_items[pairs]
        if not self.fit.sigmoid:
            return self._inputs(of, np.arange(len(of)), None), items
        count = self.fit.config.model.negatives
        negatives = self.fit.negatives.draw(examples.rows[of], count, rng)
        candidates = np.concatenate([items[:, None], negatives], axis=1)
        labels = np.zeros(candidates.shape, np.float32)
        labels[:, 0] = 1
        return self._inputs(of, np.repeat(np.arange(len(of)), 1 + count), candidates.ravel()), labels.ravel()

    def _inputs(self, of: np.ndarray, rows: np.ndarray, candidates: np.ndarray | None) -> dict[str, np.ndarray]:
        if self.vectors is not None:
            inputs = {BEHAVIOUR: of[rows]}  # rows of the kept vectors; the graph gathers them
            return inputs if candidates is None else {**inputs, CANDIDATE: candidates}
        inputs = {schema.BEHAVIOUR_TEXT: np.array(self.fit.texts(of), object)[rows]}
        if candidates is None:
            return inputs
        texts = self.fit.dataset.texts
        return {**inputs, schema.CANDIDATE_TEXT: np.array([texts[item] for item in candidates], object)}


class _VectorScorer:
    """The MLP over kept vectors of the validation queries."""

    name = "behaviour-text"

    def __init__(self, model: BehaviourTextModel, vectors: np.ndarray) -> None:
        self.model, self.vectors, self.num_items = model.mlp, vectors, model.num_items

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`; `rows` are those of the validation queries."""
        return self.model({BEHAVIOUR: self.vectors[rows]}, training=False).numpy()


class _Watched:
    """A scorer of probabilities that also sums up how likely the targets were."""

    def __init__(self, scorer: Scorer, queries: Queries) -> None:
        self.name, self.num_items = scorer.name, scorer.num_items
        self._scorer, self._queries = scorer, queries
        self._total = 0.0

    @property
    def loss(self) -> float:
        """Mean negative log-probability of the targets."""
        return self._total / max(1, len(self._queries.target_items))

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        scores = self._scorer.scores(histories, rows)
        offsets = self._queries.target_offsets
        for row, found in zip(rows, scores, strict=True):
            targets = self._queries.target_items[offsets[row] : offsets[row + 1]]
            self._total -= float(np.log(np.maximum(found[targets], 1e-30)).sum())
        return scores


def _judge(
    queries: Queries, dataset: PreparedDataset, config: RunConfig, judge: Callable[[Impressions], np.ndarray]
) -> dict[str, Any]:
    """Metrics of `judge` on the seeded impressions of the queries; empty without any."""
    if not len(queries):
        return {}
    knobs = config.evaluation
    pairs = Impressions.sample(queries, dataset.num_items, knobs.negatives, config.training.seed)
    return evaluate_probabilities(pairs.labels, judge(pairs))


def _probabilities(
    model: BehaviourTextModel, histories: Histories, pairs: Impressions, dataset: PreparedDataset, size: int = 256
) -> np.ndarray:
    """float32 `[n]`: the whole model on strings."""
    behaviour = np.array(_query_texts(model, histories, dataset), object)[pairs.rows]
    candidates = np.array(dataset.texts, object)[pairs.items]
    spec = tf.TensorSpec([None], tf.string)
    judge = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[{schema.BEHAVIOUR_TEXT: spec, schema.CANDIDATE_TEXT: spec}],
    )
    found = []
    for start in track(range(0, len(behaviour), size), "Judging candidates"):
        part = slice(start, start + size)
        texts = {schema.BEHAVIOUR_TEXT: behaviour[part], schema.CANDIDATE_TEXT: candidates[part]}
        found.append(judge({name: tf.constant(value, tf.string) for name, value in texts.items()}).numpy())
    return np.concatenate(found)


def _mlp_probabilities(mlp: keras.Model, vectors: dict[str, np.ndarray], pairs: Impressions) -> np.ndarray:
    inputs = {BEHAVIOUR: vectors["valid"][pairs.rows], CANDIDATE: vectors["items"][pairs.items]}
    return mlp.predict(inputs, batch_size=4096, verbose=0)


def _query_texts(model: BehaviourTextModel, histories: Histories, dataset: PreparedDataset) -> list[str]:
    stops = histories.offsets[1:]
    starts = np.maximum(histories.offsets[:-1], stops - model.max_history)
    return behaviour_texts(histories, starts, stops, dataset.texts, dataset.event_kinds, model.max_words)


def _read(reader: keras.Model, texts: list[str], size: int, description: str) -> np.ndarray:
    """float32 `[len(texts), dim]`; texts of like length together."""
    vectors = np.zeros((len(texts), reader.output_shape[-1]), np.float32)
    read = tf.function(lambda text: reader(text, training=False), input_signature=[tf.TensorSpec([None], tf.string)])
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in track(range(0, len(texts), size), description):
        part = order[start : start + size]
        vectors[part] = read(tf.constant([texts[i] for i in part], tf.string)).numpy()
    return vectors


def _schedule(rate: float, warmup: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    first = int(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if first else rate,
        decay_steps=max(1, steps - first),
        warmup_target=rate if first else None,
        warmup_steps=first,
    )


def _adamw(config: RunConfig, steps: int) -> keras.optimizers.Optimizer:
    knobs = config.training
    rate = _schedule(knobs.learning_rate, knobs.warmup, steps)
    return keras.optimizers.AdamW(rate, weight_decay=knobs.weight_decay, clipnorm=5.0)


def _two_speeds(model: BehaviourTextModel, config: RunConfig, steps: int) -> keras.optimizers.legacy.Optimizer:
    """The encoder at its own rate; the MLP, fitted already, at most ten times faster."""
    knobs = config.training
    slow = knobs.encoder_learning_rate
    fast = min(knobs.learning_rate, 10 * slow) if model.reads_apart else knobs.learning_rate
    rates = [_schedule(rate, knobs.warmup, steps) for rate in (fast, slow)]
    head, encoder = (keras.optimizers.legacy.Adam(rate, global_clipnorm=1.0) for rate in rates)
    # a frozen encoder has no variables for its optimiser to own
    parts = [(head, lambda: model.mlp.trainable_variables), (encoder, lambda: model.bert.trainable_variables)]
    return tfrs.experimental.optimizers.CompositeOptimizer(parts)
