"""The gradients of each person by the weights of the layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfrec.keras import keras
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


Recorder = Callable[[Any, list[Recorded]], Callable[..., tf.Tensor]]
"""From a layer, and the list that its calls are added to, to the function that is called in place of its own."""


@contextmanager
def recorded_calls(
    layers: Iterable[keras.layers.Layer], more: Mapping[type, Recorder] | None = None
) -> Iterator[list[Recorded]]:
    """The calls of the layers with weights while this is open, as they come.

    Args:
        layers: Dense layers and layer normalizations; layers without weights are left as they are.
        more: Layers of other kinds, and how they are recorded.

    Raises:
        TypeError: Another layer has weights.
    """
    calls: list[Recorded] = []
    kinds = {**_KINDS, **(more or {})}
    with ExitStack() as restored:
        for layer in layers:
            if not layer._trainable_weights:
                continue
            record = next((found for kind, found in kinds.items() if isinstance(layer, kind)), None)
            if record is None:
                raise TypeError(f"No gradients of single people are known for {type(layer).__name__}.")
            attributes = vars(layer)  # not by setattr: Keras would track it
            attributes["call"] = tf.autograph.experimental.do_not_convert(record(layer, calls))
            restored.callback(attributes.pop, "call")
        yield calls


def gradients_of_calls(
    calls: Sequence[Recorded], by_outputs: Sequence[tf.Tensor], variables: Sequence[tf.Variable]
) -> list[PersonGradients]:
    """The gradients by the weights of the layers that were called, in the order of `variables`.

    Args:
        calls: The calls, one of each layer.
        by_outputs: The gradient by the output of each.
        variables: The weights of the layers.
    """
    found: ByVariable = {}
    for call, by_output in zip(calls, by_outputs, strict=True):
        found |= call.gradients(by_output)
    return [found[variable.ref()] for variable in variables]


def _dense(layer: keras.layers.Dense, calls: list[Recorded]) -> Callable[..., tf.Tensor]:
    def call(inputs: tf.Tensor) -> tf.Tensor:
        flat = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), layer.kernel)
        output = tf.reshape(flat, tf.concat([tf.shape(inputs)[:-1], [layer.units]], axis=0))
        output = output + layer.bias if layer.use_bias else output

        def gradients(by_output: tf.Tensor) -> ByVariable:
            found: ByVariable = {layer.kernel.ref(): Products(inputs, by_output)}
            return found | ({layer.bias.ref(): Explicit(tf.reduce_sum(by_output, axis=1))} if layer.use_bias else {})

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


_KINDS: dict[type, Recorder] = {keras.layers.Dense: _dense, keras.layers.LayerNormalization: _normalization}
