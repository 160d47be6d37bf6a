"""Batches of BehaviourTextModel's training: strings, or rows of kept vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.models.behaviour_text import BEHAVIOUR, CANDIDATE, BehaviourTextModel, behaviour_texts
from tfrec.training.behaviour_examples import Examples, Negatives

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
        self.count = config.model.negatives
        self.histories = dataset.training()
        self.examples = Examples.sample(self.histories, config.training.max_examples, self.seed)
        rows = np.repeat(np.arange(len(self.histories)), np.diff(self.histories.offsets))
        self.negatives = Negatives(dataset.num_items, rows, self.histories.items)

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
        """One pair of each text, shuffled."""
        return rng.permutation(self.examples.one_pair_each(rng))


class Batches:
    """Batches of an epoch: vectors where they are kept, else strings; with negatives for the sigmoid head.

    Args:
        material: The examples.
        model: Says how much of a history its texts show.
        order: Which pairs make an epoch.
        size: int. Pairs a batch.
        vectors: The encoder's vectors, float32 `[n, dim]`: "texts" of the examples, "items" of the catalogue. None:
            batches of strings.
    """

    def __init__(
        self,
        material: Material,
        model: BehaviourTextModel,
        order: Order,
        size: int,
        vectors: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.material, self.model, self.order, self.size, self.vectors = material, model, order, size, vectors

    def dataset(self, first_epoch: int, epochs: int) -> tf.data.Dataset:
        """All batches from `first_epoch` on."""

        def generate() -> Iterator[Batch]:
            for epoch in range(first_epoch, epochs):
                yield from self.epoch(epoch)

        sigmoid = self.material.sigmoid
        names = (BEHAVIOUR, CANDIDATE) if self.vectors else (schema.BEHAVIOUR_TEXT, schema.CANDIDATE_TEXT)
        spec = tf.TensorSpec([None], tf.int64 if self.vectors else tf.string)
        inputs = {name: spec for name in (names if sigmoid else names[:1])}
        labels = tf.TensorSpec([None], tf.float32 if sigmoid else tf.int32)
        batches = tf.data.Dataset.from_generator(generate, output_signature=(inputs, labels))
        if self.vectors:
            tables = {BEHAVIOUR: tf.constant(self.vectors["texts"])}
            tables |= {CANDIDATE: tf.constant(self.vectors["items"])} if sigmoid else {}
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

    def _inputs(self, of: np.ndarray, rows: np.ndarray, candidates: np.ndarray | None) -> dict[str, np.ndarray]:
        if self.vectors is not None:
            inputs = {BEHAVIOUR: of[rows]}  # rows of the kept vectors; the graph gathers them
            return inputs if candidates is None else {**inputs, CANDIDATE: candidates}
        inputs = {schema.BEHAVIOUR_TEXT: np.array(self.material.texts(self.model, of), object)[rows]}
        if candidates is None:
            return inputs
        texts = self.material.dataset.texts
        return {**inputs, schema.CANDIDATE_TEXT: np.array([texts[item] for item in candidates], object)}
