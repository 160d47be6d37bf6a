"""What a private training of a BehaviourTextModel learns from: texts of each person, in Poisson samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.models.behaviour_text.heads import BEHAVIOUR, NAMED
from tfrec.privacy.clipped_gradients import CHUNK
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.poisson_sample import PoissonSample

TEXTS = 16
"""Most texts of a person; the mean of their gradients is clipped. A choice, not the result of a search."""


@dataclass(frozen=True)
class PersonTexts:
    """Behaviour texts as ranges of the training sequences, each with the event that followed it.

    Attributes:
        histories: The training sequences.
        stops: int64 `[texts]`, flat position just after the newest event of each text: that of its target.
    """

    histories: Histories
    stops: np.ndarray

    @classmethod
    def of(cls, histories: Histories) -> PersonTexts:
        """A text for every target that has an event before it."""
        place = np.arange(len(histories.items)) - histories.offsets[histories.rows]
        return cls(histories, np.flatnonzero((place > 0) & histories.is_target))

    def __len__(self) -> int:
        return len(self.stops)

    @property
    def people(self) -> np.ndarray:
        """The row of `histories` that each text is of, int64 `[texts]`."""
        return self.histories.rows[self.stops]

    @property
    def targets(self) -> np.ndarray:
        """int32 `[texts]`, the item that followed."""
        return self.histories.items[self.stops]

    def drawn(self, count: int, source: NoiseSource) -> PersonTexts:
        """At most `count` texts of each person, drawn at random, and independently of the texts of others."""
        people = self.people
        order = np.lexsort((source.uniform("texts", 0, len(self)), people))
        place = np.arange(len(self)) - np.searchsorted(people, people[order])
        return PersonTexts(self.histories, np.sort(self.stops[order[place < count]]))

    def by_person(self) -> np.ndarray:
        """The texts of each person, int64 `[people, most texts]`, −1 at padding."""
        _, person, counts = np.unique(self.people, return_inverse=True, return_counts=True)
        table = np.full((len(counts), counts.max(initial=1)), schema.PADDING, np.int64)
        table[person, np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)] = np.arange(len(self))
        return table


class PrivateBatches:
    """Batches of the people of a `PoissonSample`, each with all of their texts.

    Rows and positions without labels fill a batch up to a multiple of `CHUNK` and to the longest row.

    Args:
        by_person: int `[people, most texts]`, the texts of each person, −1 at padding.
        vectors: float32 `[texts, dim]`, the encoded texts.
        named: int32 `[texts, events]`, the items that each names, −1 at padding.
        labels: int32 `[texts]`, the item that followed each; −1 for none that is learnt.
        sampling: float in (0, 1]. The probability of each person.
        source: Draws people, by the number of the step.
    """

    def __init__(
        self,
        by_person: np.ndarray,
        vectors: np.ndarray,
        named: np.ndarray,
        labels: np.ndarray,
        sampling: float,
        source: NoiseSource,
    ) -> None:
        self._by_person, self._sample = by_person, PoissonSample(np.arange(len(by_person)), sampling, source)
        self._vectors, self._named, self._labels = vectors, named, labels

    def batch(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The padded inputs and labels of a step, `[rows, texts, ...]` each, rows a multiple of `CHUNK`."""
        people = self._sample.examples(step)
        missing = -len(people) % CHUNK if len(people) else CHUNK  # a step on noise alone has rows too
        texts = np.pad(self._by_person[people], [(0, missing), (0, 0)], constant_values=schema.PADDING)
        real = texts >= 0  # what stands at padding must be nobody's
        vectors = np.where(real[..., None], self._vectors[texts], np.float32(0))
        named = np.where(real[..., None], self._named[texts], schema.PADDING)
        return {BEHAVIOUR: vectors, NAMED: named}, np.where(real, self._labels[texts], schema.PADDING)

    def dataset(self, first: int, stop: int) -> tf.data.Dataset:
        """The batches of the steps `first` to `stop` − 1."""

        def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
            for step in range(first, stop):
                yield self.batch(step)

        inputs = {
            BEHAVIOUR: tf.TensorSpec([None, None, self._vectors.shape[1]], tf.float32),
            NAMED: tf.TensorSpec([None, None, None], tf.int32),
        }
        signature = (inputs, tf.TensorSpec([None, None], tf.int32))
        return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)
