"""NextItemModel as a Scorer: histories in, NumPy scores of the whole catalogue out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.batching import history_batch
from tfrec.data.dataset import Histories
from tfrec.models.next_item import NextItemModel


class NextItemScorer:
    """Scores with a NextItemModel, traced once.

    The item vectors are computed when the scorer is made; after more training, `refresh` computes them anew.
    """

    name = "next-item"

    def __init__(self, model: NextItemModel) -> None:
        self.model, self.num_items = model, model.num_items
        self._vectors = tf.Variable(model.history_vectors(), trainable=False)
        spec = {
            schema.HISTORY_ITEMS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_EVENTS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_GAPS: tf.TensorSpec([None, None], tf.float32),
        }
        self._scores = tf.function(self._score, input_signature=[spec])

    def refresh(self) -> None:
        """Takes the item vectors from the model as it is now."""
        self._vectors.assign(self.model.history_vectors())

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: the score of every item for the given rows of `histories`."""
        return self._scores(history_batch(histories, rows, self.model.memory_history)).numpy()

    def _score(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return self.model.scores(inputs, self._vectors)
