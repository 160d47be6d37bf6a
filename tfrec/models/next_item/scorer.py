"""NextItemScorer: a NextItemModel as a `Scorer` of the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.models.next_item.model import NextItemModel

_TRACED_SCORES = "_scores_as_a_graph"


class NextItemScorer:
    """Scores histories with a NextItemModel. All scorers of a model share one traced graph.

    The item vectors are computed when the scorer is made, and again by `refresh`, which is needed after more training.

    Args:
        model: The model.
    """

    name = "next-item"

    def __init__(self, model: NextItemModel) -> None:
        self.model, self.num_items = model, model.num_items
        self._scores = _traced_scores(model)
        self.refresh()

    def refresh(self) -> None:
        """Computes the item vectors with the current weights of the model."""
        self._vectors = tf.convert_to_tensor(self.model.history_vectors())

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """Scores of all items, float32 `[len(rows), num_items]`.

        Args:
            histories: Histories in the indices of the model's catalogue.
            rows: int `[n]`, rows of `histories` to score.
        """
        return self._scores(history_batch(histories, rows, self.model.memory_history), self._vectors).numpy()


def _traced_scores(model: NextItemModel) -> Callable[[dict[str, np.ndarray], tf.Tensor], tf.Tensor]:
    """`model.scores` as a graph, traced at the first call. It uses the values that the variables have when called."""
    attributes = model.__dict__  # not by setattr: Keras would track the function
    if _TRACED_SCORES not in attributes:
        spec = {
            schema.HISTORY_ITEMS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_EVENTS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_GAPS: tf.TensorSpec([None, None], tf.float32),
        }
        vectors = tf.TensorSpec([model.num_items, model.dim], tf.float32)
        graph = tf.function(lambda inputs, vectors: model.scores(inputs, vectors), input_signature=[spec, vectors])
        attributes[_TRACED_SCORES] = lambda inputs, vectors: graph(
            inputs, vectors
        )  # wrapped: exports would save a tf.function
    return attributes[_TRACED_SCORES]
