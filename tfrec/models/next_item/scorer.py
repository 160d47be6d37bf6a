"""NextItemModel as a Scorer: histories in, NumPy scores of the whole catalogue out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.models.next_item.model import NextItemModel

_KEPT = "_scores_as_a_graph"


class NextItemScorer:
    """Scores with a NextItemModel, traced once a model, however many scorers it gets.

    The item vectors are computed when the scorer is made; after more training, `refresh` computes them anew.
    """

    name = "next-item"

    def __init__(self, model: NextItemModel) -> None:
        self.model, self.num_items = model, model.num_items
        self._scores = _graph_of(model)
        self.refresh()

    def refresh(self) -> None:
        """Takes the item vectors from the model as it is now."""
        self._vectors = tf.convert_to_tensor(self.model.history_vectors())

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: the score of every item for the given rows of `histories`."""
        return self._scores(history_batch(histories, rows, self.model.memory_history), self._vectors).numpy()


def _graph_of(model: NextItemModel) -> Callable[[dict[str, np.ndarray], tf.Tensor], tf.Tensor]:
    """`model.scores`, traced when it is first called; it reads the model's variables as they are then."""
    kept = model.__dict__  # past Keras, which would track it
    if _KEPT not in kept:
        spec = {
            schema.HISTORY_ITEMS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_EVENTS: tf.TensorSpec([None, None], tf.int32),
            schema.HISTORY_GAPS: tf.TensorSpec([None, None], tf.float32),
        }
        vectors = tf.TensorSpec([model.num_items, model.dim], tf.float32)
        graph = tf.function(lambda inputs, vectors: model.scores(inputs, vectors), input_signature=[spec, vectors])
        kept[_KEPT] = lambda inputs, vectors: graph(inputs, vectors)  # not as it is: exports save what looks like one
    return kept[_KEPT]
