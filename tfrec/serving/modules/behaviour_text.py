"""The served form of a BehaviourTextModel: behaviour texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema

Tensors = dict[str, tf.Tensor]


class BehaviourTextServing(tf.Module):
    """The signatures of a BehaviourTextModel export.

    - `serving_default`, sigmoid head: behaviour_text `[B]`, candidate_text `[B]` → probability `[B]`.
    - `serving_default`, softmax head: behaviour_text `[B]` → item_ids `[B, K]`, scores (probabilities) `[B, K]`, count
      `[B]`. Ties go to the item that comes first in the catalogue.
    - `encode`: behaviour_text `[B]` → embeddings `[B, dim]`.

    An empty text stands for a user who has done nothing yet.

    Args:
        model: A BehaviourTextModel.
        head: "sigmoid" or "softmax".
        item_ids: Ids of the catalogue, for the softmax head.
        max_k: Number K of items returned, at most the size of the catalogue.
        allow: bool `[items]`, items that answers may hold; None for all.
    """

    def __init__(
        self, model: Any, head: str, item_ids: Sequence[str] = (), max_k: int = 100, *, allow: Any = None
    ) -> None:
        super().__init__(name="behaviour_text_serving")
        self._model = model
        self._places = None if allow is None or not len(item_ids) else np.flatnonzero(allow)
        ids = np.array([str(item) for item in item_ids], object)
        ids = ids if self._places is None else ids[self._places]
        self.k = min(max_k, len(ids))
        self._ids = tf.constant(ids, tf.string)
        behaviour = tf.TensorSpec([None], tf.string, schema.BEHAVIOUR_TEXT)
        candidate = tf.TensorSpec([None], tf.string, schema.CANDIDATE_TEXT)
        default = tf.function(self.predict if head == "sigmoid" else self.recommend)
        specs = (behaviour, candidate) if head == "sigmoid" else (behaviour,)
        self.functions: dict[str, Callable[..., Tensors]] = {
            schema.SIGNATURE_DEFAULT: default.get_concrete_function(*specs),
            schema.SIGNATURE_ENCODE: tf.function(self.encode).get_concrete_function(behaviour),
        }

    def predict(self, behaviour_text: tf.Tensor, candidate_text: tf.Tensor) -> Tensors:
        """The probability `[B]` that each user acts on their candidate."""
        inputs = {schema.BEHAVIOUR_TEXT: behaviour_text, schema.CANDIDATE_TEXT: candidate_text}
        return {schema.PROBABILITY: tf.reshape(self._probabilities(inputs), [-1])}

    def recommend(self, behaviour_text: tf.Tensor) -> Tensors:
        """The K most probable next items, with their probabilities."""
        probabilities = self._probabilities({schema.BEHAVIOUR_TEXT: behaviour_text})
        if self._places is not None:
            probabilities = tf.gather(probabilities, self._places, axis=1)
        scores, indices = tf.math.top_k(probabilities, self.k)
        count = tf.fill([tf.shape(scores)[0]], self.k)
        return {schema.ITEM_IDS: tf.gather(self._ids, indices), schema.SCORES: scores, schema.COUNT: count}

    def encode(self, behaviour_text: tf.Tensor) -> Tensors:
        """Vectors `[B, dim]` of behaviour texts."""
        return {schema.EMBEDDINGS: self._model.encode(behaviour_text)}

    def _probabilities(self, inputs: Tensors) -> tf.Tensor:
        outputs = self._model(inputs, training=False)
        # a functional model may return its single output by name
        outputs = next(iter(outputs.values())) if isinstance(outputs, dict) else outputs
        return tf.cast(outputs, tf.float32)
