"""Batches for private training: in each, every person is with the same probability, independently of all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.input_pipeline import pad_batch
from tfrec.models.next_item.windows import Windows
from tfrec.privacy.clipped_gradients import CHUNK
from tfrec.privacy.noise_source import NoiseSource


class PoissonBatches:
    """Poisson samples of people, each with one window of their history.

    Of a person with several windows, one is drawn each time: whatever the length of a history, its person adds one
    clipped gradient to a step. The number of people in a batch varies; rows without labels fill it up to a multiple of
    `CHUNK`. Nobody is left out because a batch is full, as that would not be Poisson sampling.

    Args:
        windows: The windows of the training sequences.
        sampling: float in (0, 1]. The probability of each person.
        source: Draws people and windows, by the number of the step.
    """

    def __init__(self, windows: Windows, sampling: float, source: NoiseSource) -> None:
        self.windows, self.sampling, self._source = windows, sampling, source
        people = np.searchsorted(windows.histories.offsets, windows.start, side="right") - 1
        self._order = np.argsort(people, kind="stable")
        _, self._first, self._count = np.unique(people[self._order], return_index=True, return_counts=True)

    @property
    def people(self) -> int:
        """Number of people with a window, of whom the batches are samples."""
        return len(self._first)

    def rows(self, step: int) -> np.ndarray:
        """The windows of a step, int64 `[people in it]`, the short ones first: a chunk needs little padding then."""
        drawn = np.flatnonzero(self._source.uniform("people", step, self.people) < self.sampling)
        place = self._source.uniform("windows", step, self.people)[drawn] * self._count[drawn]
        rows = self._order[self._first[drawn] + place.astype(np.int64)]
        by_length: np.ndarray = rows[np.argsort((self.windows.stop - self.windows.start)[rows], kind="stable")]
        return by_length

    def batch(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The padded inputs and labels of a step, `[rows, length]` each, rows a multiple of `CHUNK`."""
        rows = self.rows(step)
        if not len(rows):  # a step on noise alone
            inputs, labels = self.windows.batch(np.zeros(1, np.int64))
            labels = np.full_like(labels, schema.PADDING)
        else:
            inputs, labels = self.windows.batch(rows)
        return pad_batch(inputs, labels, -(-len(labels) // CHUNK) * CHUNK, labels.shape[1])

    def dataset(self, first: int, stop: int) -> tf.data.Dataset:
        """The batches of the steps `first` to `stop` − 1."""

        def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
            for step in range(first, stop):
                yield self.batch(step)

        integers, floats = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.float32)
        inputs = {schema.HISTORY_ITEMS: integers, schema.HISTORY_EVENTS: integers, schema.HISTORY_GAPS: floats}
        return tf.data.Dataset.from_generator(generate, output_signature=(inputs, integers)).prefetch(2)
