"""Scores the whole catalogue for given histories with a BehaviourTextModel (softmax head)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.models.behaviour_text.model import BehaviourTextModel, behaviour_texts


class BehaviourTextScorer:
    """Renders each history as a behaviour text and scores items by the probability that they are next.

    Args:
        model: A BehaviourTextModel with the softmax head; `InvalidInput` for the sigmoid head.
        texts: Item texts in catalogue order.
        event_kinds: Names of the event kinds, in the order of the indices in `Histories.events`.
        batch_size: int. Texts per batch.
    """

    name = "behaviour-text"

    def __init__(
        self, model: BehaviourTextModel, texts: Sequence[str], event_kinds: Sequence[str], batch_size: int = 64
    ) -> None:
        if model.head_kind != "softmax":
            raise InvalidInput(f"Only the softmax head ranks a catalogue; received the {model.head_kind} head.")
        self.model, self.num_items, self.batch_size = model, model.num_items, batch_size
        self._texts, self._kinds = texts, event_kinds
        spec = {schema.BEHAVIOUR_TEXT: tf.TensorSpec([None], tf.string)}
        self._probabilities = tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: probabilities for the given rows of `histories`."""
        texts = self.texts(histories, rows)
        scores = np.empty((len(texts), self.num_items), np.float32)
        order = np.argsort(
            [len(text) for text in texts], kind="stable"
        )  # texts of similar length together need little padding
        for start in range(0, len(texts), self.batch_size):
            rows_of_batch = order[start : start + self.batch_size]
            batch = tf.constant([texts[i] for i in rows_of_batch], tf.string)
            scores[rows_of_batch] = self._probabilities({schema.BEHAVIOUR_TEXT: batch}).numpy()
        return scores

    def texts(self, histories: Histories, rows: np.ndarray) -> list[str]:
        """The behaviour texts of the given rows of `histories`, as the model expects them."""
        stops = histories.offsets[np.asarray(rows) + 1]
        starts = np.maximum(histories.offsets[rows], stops - self.model.max_history)
        return behaviour_texts(histories, starts, stops, self._texts, self._kinds, self.model.max_words)
