"""Training batches of BehaviourTextModel: texts, or vectors of texts encoded before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.models.behaviour_text.examples import Examples
from tfrec.models.behaviour_text.heads import BEHAVIOUR, CANDIDATE, NAMED
from tfrec.models.behaviour_text.model import BehaviourTextModel, behaviour_texts
from tfrec.training.sampled_negatives import Negatives

Batch = tuple[dict[str, np.ndarray], np.ndarray]
Order = Callable[[np.random.Generator], np.ndarray]
"""Returns the pairs of an epoch in training order, int `[pairs]`."""


class TrainingExamples:
    """Training examples, their texts, and a sampler of negatives.

    Args:
        dataset: Training sequences.
        config: Sections `model` and `training`.

    Raises:
        InvalidInput: No user has a target event after another training event.
    """

    def __init__(self, dataset: PreparedDataset, config: RunConfig) -> None:
        self.dataset, self.seed, self.sigmoid = dataset, config.training.seed, config.model.head == "sigmoid"
        self.count, self.joint_texts = config.model.negatives, config.training.encoder_examples
        self.histories = dataset.training()
        self.sampled = Examples.sample(self.histories, config.training.max_examples, self.seed)
        self.negatives = Negatives(dataset.num_items, self.histories.rows, self.histories.items)

    def texts(self, model: BehaviourTextModel, indices: np.ndarray) -> list[str]:
        """Behaviour texts of the examples at `indices`, rendered the way `model` expects them."""
        stops = self.sampled.stops[indices]
        starts = np.maximum(self.histories.offsets[self.sampled.rows[indices]], stops - model.max_history)
        kinds = self.dataset.event_kinds
        return behaviour_texts(self.histories, starts, stops, self.dataset.texts, kinds, model.max_words)

    def every_pair(self, rng: np.random.Generator) -> np.ndarray:
        """All pairs, shuffled."""
        return rng.permutation(len(self.sampled.pair_texts))

    def one_pair_each(self, rng: np.random.Generator) -> np.ndarray:
        """One random pair per text, shuffled; at most `training.encoder_examples` of them, others in each epoch."""
        return rng.permutation(self.sampled.one_pair_each(rng))[: self.joint_texts]


class Batches:
    """Batches of vectors if the texts are already encoded, else of texts; with negatives for the sigmoid head.

    Args:
        examples: The examples and their negatives.
        model: Determines how much of a history its texts show.
        order: Selects and orders the pairs of an epoch.
        size: int. Pairs per batch.
        encoded: Vectors, float32 `[n, dim]`, of the examples' texts ("texts") and of the catalogue ("items"), and the
            items named in the texts, int32 `[n, events]` ("texts_named"). None yields batches of texts.
    """

    def __init__(
        self,
        examples: TrainingExamples,
        model: BehaviourTextModel,
        order: Order,
        size: int,
        encoded: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.examples, self.model, self.order, self.size = examples, model, order, size
        self.tables: dict[str, np.ndarray] = {}
        if encoded is not None:
            self.tables = {BEHAVIOUR: encoded["texts"]}
            self.tables |= {CANDIDATE: encoded["items"]} if examples.sigmoid else {NAMED: encoded["texts_named"]}

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches of the epochs from `first_epoch` up to, not including, `epochs`."""

        def generate() -> Iterator[Batch]:
            for epoch in range(first_epoch, epochs):
                yield from self.epoch(epoch)

        inputs = {name: tf.TensorSpec([None], tf.int64) for name in self.tables}
        inputs = inputs or {name: tf.TensorSpec([None], tf.string) for name in self.model.input_names}
        labels = tf.TensorSpec([None], tf.float32 if self.examples.sigmoid else tf.int32)
        batches = tf.data.Dataset.from_generator(generate, output_signature=(inputs, labels))
        if self.tables:
            tables = {name: tf.constant(table) for name, table in self.tables.items()}
            batches = batches.map(lambda rows, y: ({name: tf.gather(tables[name], rows[name]) for name in tables}, y))
        return batches.prefetch(4)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch; they depend only on the seed and the epoch number."""
        rng = np.random.default_rng([self.examples.seed, epoch])
        order = self.order(rng)
        for start in range(0, len(order), self.size):
            yield self.batch(order[start : start + self.size], rng)

    def batch(self, pairs: np.ndarray, rng: np.random.Generator) -> Batch:
        """Inputs and labels of the given pairs, with `model.negatives` negatives per pair for the sigmoid head."""
        sampled = self.examples.sampled
        texts, items = sampled.pair_texts[pairs], sampled.pair_items[pairs]
        if not self.examples.sigmoid:
            return self._inputs(texts, np.arange(len(texts)), None), items
        negatives = self.examples.negatives.draw(sampled.rows[texts], self.examples.count, rng)
        candidates = np.concatenate([items[:, None], negatives], axis=1)
        labels = np.zeros(candidates.shape, np.float32)
        labels[:, 0] = 1
        rows = np.repeat(np.arange(len(texts)), candidates.shape[1])
        return self._inputs(texts, rows, candidates.ravel()), labels.ravel()

    def _inputs(self, texts: np.ndarray, rows: np.ndarray, candidates: Any) -> dict[str, np.ndarray]:
        if self.tables:  # row numbers; the graph gathers the vectors
            return {name: candidates if name == CANDIDATE else texts[rows] for name in self.tables}
        inputs = {schema.BEHAVIOUR_TEXT: np.array(self.examples.texts(self.model, texts), object)[rows]}
        if candidates is None:
            return inputs
        item_texts = self.examples.dataset.texts
        return {**inputs, schema.CANDIDATE_TEXT: np.array([item_texts[item] for item in candidates], object)}
