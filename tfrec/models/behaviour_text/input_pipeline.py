"""Batches of BehaviourTextModel's training: strings, or what was read in them before."""

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
"""The pairs of an epoch, int `[pairs]`."""


class Material:
    """What a BehaviourTextModel learns from: examples of the training histories, and their texts.

    Args:
        dataset: Training sequences.
        config: Sections `model` and `training`.

    Raises:
        InvalidInput: no user has a training event and a target after it.
    """

    def __init__(self, dataset: PreparedDataset, config: RunConfig) -> None:
        self.dataset, self.seed, self.sigmoid = dataset, config.training.seed, config.model.head == "sigmoid"
        self.count, self.joint_texts = config.model.negatives, config.training.encoder_examples
        self.histories = dataset.training()
        self.examples = Examples.sample(self.histories, config.training.max_examples, self.seed)
        self.negatives = Negatives(dataset.num_items, self.histories.rows, self.histories.items)

    def texts(self, model: BehaviourTextModel, of: np.ndarray) -> list[str]:
        """Behaviour texts of the examples `of`, as `model` reads them."""
        stops = self.examples.stops[of]
        starts = np.maximum(self.histories.offsets[self.examples.rows[of]], stops - model.max_history)
        kinds = self.dataset.event_kinds
        return behaviour_texts(self.histories, starts, stops, self.dataset.texts, kinds, model.max_words)

    def every_pair(self, rng: np.random.Generator) -> np.ndarray:
        """Each pair once, shuffled."""
        return rng.permutation(len(self.examples.pair_texts))

    def one_pair_each(self, rng: np.random.Generator) -> np.ndarray:
        """One pair of each text, shuffled; of `training.encoder_examples` texts only, others in every epoch."""
        return rng.permutation(self.examples.one_pair_each(rng))[: self.joint_texts]


class Batches:
    """Batches of an epoch: what was read where it is kept, else strings; with negatives for the sigmoid head.

    Args:
        material: The examples.
        model: Says how much of a history its texts show.
        order: Which pairs make an epoch.
        size: int. Pairs a batch.
        kept: What was read before: vectors, float32 `[n, dim]`, "texts" of the examples and "items" of the catalogue,
            and "texts_named", int32 `[n, events]`. None: batches of strings.
    """

    def __init__(
        self,
        material: Material,
        model: BehaviourTextModel,
        order: Order,
        size: int,
        kept: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.material, self.model, self.order, self.size = material, model, order, size
        self.tables: dict[str, np.ndarray] = {}
        if kept is not None:
            self.tables = {BEHAVIOUR: kept["texts"]}
            self.tables |= {CANDIDATE: kept["items"]} if material.sigmoid else {NAMED: kept["texts_named"]}

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches from `first_epoch` on."""

        def generate() -> Iterator[Batch]:
            for epoch in range(first_epoch, epochs):
                yield from self.epoch(epoch)

        inputs = {name: tf.TensorSpec([None], tf.int64) for name in self.tables}
        inputs = inputs or {name: tf.TensorSpec([None], tf.string) for name in self.model.input_names}
        labels = tf.TensorSpec([None], tf.float32 if self.material.sigmoid else tf.int32)
        batches = tf.data.Dataset.from_generator(generate, output_signature=(inputs, labels))
        if self.tables:
            tables = {name: tf.constant(table) for name, table in self.tables.items()}
            batches = batches.map(lambda rows, y: ({name: tf.gather(tables[name], rows[name]) for name in tables}, y))
        return batches.prefetch(4)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, which depend on the seed and its number alone."""
        rng = np.random.default_rng([self.material.seed, epoch])
        order = self.order(rng)
        for start in range(0, len(order), self.size):
            yield self.batch(order[start : start + self.size], rng)

    def batch(self, pairs: np.ndarray, rng: np.random.Generator) -> Batch:
        """Inputs and labels of some pairs."""
        material, examples = self.material, self.material.examples
        of, items = examples.pair_texts[pairs], examples.pair_items[pairs]
        if not material.sigmoid:
            return self._inputs(of, np.arange(len(of)), None), items
        negatives = material.negatives.draw(examples.rows[of], material.count, rng)
        candidates = np.concatenate([items[:, None], negatives], axis=1)
        labels = np.zeros(candidates.shape, np.float32)
        labels[:, 0] = 1
        return self._inputs(of, np.repeat(np.arange(len(of)), candidates.shape[1]), candidates.ravel()), labels.ravel()

    def _inputs(self, of: np.ndarray, rows: np.ndarray, candidates: Any) -> dict[str, np.ndarray]:
        if self.tables:  # rows of what is kept; the graph gathers them
            return {name: candidates if name == CANDIDATE else of[rows] for name in self.tables}
        inputs = {schema.BEHAVIOUR_TEXT: np.array(self.material.texts(self.model, of), object)[rows]}
        if candidates is None:
            return inputs
        texts = self.material.dataset.texts
        return {**inputs, schema.CANDIDATE_TEXT: np.array([texts[item] for item in candidates], object)}
