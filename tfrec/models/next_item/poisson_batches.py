"""Batches for the private training of a NextItemModel: Poisson samples of people, each with one window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.input_pipeline import pad_batch
from tfrec.models.next_item.windows import Windows
from tfrec.privacy.clipped_gradients import CHUNK
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.poisson_sample import PoissonSample


class PoissonBatches:
    """Batches of the people of a `PoissonSample`, whose examples are the windows of their histories.

    Rows without labels fill a batch up to a multiple of `CHUNK`.

    Args:
        windows: The windows of the training sequences.
        sampling: float in (0, 1]. The probability of each person.
        source: Draws people and windows, by the number of the step.
    """

    def __init__(self, windows: Windows, sampling: float, source: NoiseSource) -> None:
        self.windows, self._sample = windows, PoissonSample(windows.people, sampling, source)

    @property
    def people(self) -> int:
        """Number of people with a window, of whom the batches are samples."""
        return len(self._sample)

    def rows(self, step: int) -> np.ndarray:
        """The windows of a step, int64 `[people in it]`, the short ones first: a chunk needs little padding then."""
        rows = self._sample.examples(step)
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
