"""The gradients of each person by the weights of the network that encodes histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.next_item.transformer import EventEmbedding
from tfrec.privacy.person_gradients import Explicit, PersonGradients, Products

ByVariable = dict[Any, PersonGradients]
"""Gradients by the reference of their variable, as names need not differ."""


@dataclass(frozen=True)
class Recorded:
    """A call of a layer.

    Args:
        output: float32 `[people, length, m]`, what is a sum over the weights: of a dense layer, before the activation.
        gradients: From the gradient by `output` to those by the layer's weights.
    """

    output: tf.Tensor
    gradients: Callable[[tf.Tensor], ByVariable]


@contextmanager
def recorded_calls(network: keras.Model) -> Iterator[list[Recorded]]:
    """The calls of the layers with weights while this is open, as they come.

    Raises:
        TypeError: The network has weights in a layer of another kind.
    """
    calls: list[Recorded] = []
    with ExitStack() as restored:
        for layer in network._flatten_layers(include_self=False):
            if not layer._trainable_weights:
                continue
            record = next((found for kind, found in _KINDS.items() if isinstance(layer, kind)), None)
            if record is None:
                raise TypeError(f"No gradients of single people are known for {type(layer).__name__}.")
            attributes = vars(layer)  # not by setattr: Keras would track it
            attributes["call"] = tf.autograph.experimental.do_not_convert(record(layer, calls))
            restored.callback(attributes.pop, "call")
        yield calls


def _dense(layer: keras.layers.Dense, calls: list[Recorded]) -> Callable[..., tf.Tensor]:
    def call(inputs: tf.Tensor) -> tf.Tensor:
        flat = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), layer.kernel)
        output = tf.reshape(flat, tf.concat([tf.shape(inputs)[:-1], [layer.units]], axis=0)) + layer.bias

        def gradients(by_output: tf.Tensor) -> ByVariable:
            by_bias = tf.reduce_sum(by_output, axis=1)
            return {layer.kernel.ref(): Products(inputs, by_output), layer.bias.ref(): Explicit(by_bias)}

        calls.append(Recorded(output, gradients))
        return layer.activation(output)

    return call


def _normalization(layer: keras.layers.LayerNormalization, calls: list[Recorded]) -> Callable[..., tf.Tensor]:
    def call(inputs: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        unit = (inputs - mean) * tf.math.rsqrt(variance + layer.epsilon)
        output = unit * layer.gamma + layer.beta

        def gradients(by_output: tf.Tensor) -> ByVariable:
            by_gamma, by_beta = tf.reduce_sum(by_output * unit, axis=1), tf.reduce_sum(by_output, axis=1)
            return {layer.gamma.ref(): Explicit(by_gamma), layer.beta.ref(): Explicit(by_beta)}

        calls.append(Recorded(output, gradients))
        return output

    return call


def _events(layer: EventEmbedding, calls: list[Recorded]) -> Callable[..., tf.Tensor]:
    plain = layer.call

    def call(vectors: tf.Tensor, events: tf.Tensor, gaps: tf.Tensor) -> tf.Tensor:
        output = plain(vectors, events, gaps)

        def gradients(by_output: tf.Tensor) -> ByVariable:
            position = tf.minimum(tf.range(tf.shape(events)[1]), layer.max_history - 1)
            known = (events >= 0) & (events < layer.num_event_kinds)
            at_position = tf.one_hot(position, layer.max_history)
            of_kind = tf.one_hot(tf.where(known, events, -1), layer.num_event_kinds + 1)
            found = {
                layer.scale.ref(): tf.reduce_sum(by_output * vectors, axis=[1, 2]),
                layer.positions.ref(): tf.einsum("tn,pti->pni", at_position, by_output),
                layer.kinds.ref(): tf.matmul(of_kind, by_output, transpose_a=True),
            }
            if layer.time_gaps:
                found[layer.gap.ref()] = tf.reduce_sum(gaps[..., None] * by_output, axis=1)
            return {variable: Explicit(values) for variable, values in found.items()}

        calls.append(Recorded(output, gradients))
        return output

    return call


_KINDS = {
    keras.layers.Dense: _dense,
    keras.layers.LayerNormalization: _normalization,
    EventEmbedding: _events,
}
