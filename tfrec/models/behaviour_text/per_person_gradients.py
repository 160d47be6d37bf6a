"""The gradient of each person's loss by the network of the softmax head, for training that adds noise to their sum."""

from __future__ import annotations

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.behaviour_text.heads import BEHAVIOUR, NAMED
from tfrec.models.shared.history_statistics import NEVER
from tfrec.models.shared.layer_gradients import gradients_of_calls, recorded_calls
from tfrec.models.shared.softmax_gradients import catalogue_product, softmax_gradients
from tfrec.privacy.person_gradients import Explicit, PersonGradients
from tfrec.privacy.private_trainer import LABELS, Tensors


class SoftmaxHeadGradients:
    """Gradients of the mean loss over the texts of each person of a chunk, on their own.

    What is trained is the network between the text vectors and the query (normalization, hidden layers, and query) and
    the bias on named items, unless the model never lists those. The class vectors are those of the items' texts, and
    public; popularity is as the start has it. What followed the named items is no matter of training, as in any
    training (`Transitions`).

    Args:
        mlp: The softmax head, without dropout.
    """

    def __init__(self, mlp: keras.Model) -> None:
        kinds = (keras.layers.LayerNormalization, keras.layers.Dense)
        self._layers = [layer for layer in mlp.layers if isinstance(layer, kinds)]
        self._logits, self._named_bias = mlp.get_layer("logits"), mlp.get_layer("named_bias")
        self._network = [one for layer in self._layers for one in layer.trainable_variables]
        never = float(self._named_bias.bias[1]) < NEVER / 2
        self.variables: list[tf.Variable] = [*self._network, *([] if never else [self._named_bias.bias])]

    def shared_values(self) -> Tensors:
        """The scaled unit vectors of the classes, float32 `[num_items, dim]`."""
        return {"classes": self._logits.scale * tf.math.l2_normalize(self._logits.kernel, axis=-1)}

    def of_chunk(self, shared: Tensors, chunk: Tensors) -> list[PersonGradients]:
        """The gradients of each person, for each of `variables`.

        Args:
            shared: The result of `shared_values`.
            chunk: `behaviour`, float32 `[people, texts, dim]`, `named`, int32 `[people, texts, events]`, and `labels`,
                int32 `[people, texts]`, −1 where there is none.
        """
        with tf.GradientTape() as tape, recorded_calls(self._layers) as calls:
            hidden = chunk[BEHAVIOUR]
            for layer in self._layers:
                hidden = layer(hidden)
            queries = tf.math.l2_normalize(hidden, axis=-1)
        logits = catalogue_product(queries, tf.transpose(shared["classes"])) + self._logits.bias
        is_named = self._is_named(chunk[NAMED])
        logits += tf.tensordot(is_named, self._named_bias.bias, 1)
        by_logits = softmax_gradients(logits, chunk[LABELS])
        by_queries = catalogue_product(by_logits, shared["classes"])
        by_outputs = tape.gradient(queries, [call.output for call in calls], by_queries)
        gradients = gradients_of_calls(calls, by_outputs, self._network)
        if len(self.variables) > len(self._network):
            gradients.append(Explicit(tf.einsum("pti,ptic->pc", by_logits, is_named)))
        return gradients

    def _is_named(self, named: tf.Tensor) -> tf.Tensor:
        """What each number of the bias on named items is added to, float32 `[people, texts, num_items, 2]`."""
        kinds = self._named_bias.kinds(tf.reshape(named, [-1, tf.shape(named)[-1]]))
        of_item = tf.reshape(kinds, tf.concat([tf.shape(named)[:2], [kinds.shape[-1]]], axis=0))
        return tf.stack([tf.cast(of_item == kind, tf.float32) for kind in (2, 1)], axis=-1)
