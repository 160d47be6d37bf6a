"""Dropout with reproducible masks: one per training step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras


class StepDropout(keras.layers.Layer):
    """Dropout whose masks depend only on a seed and on the number of previous training calls.

    The counter is a weight, so a run resumed from a checkpoint uses the same masks as an uninterrupted one.

    Args:
        rate: float in [0, 1). Share of values set to 0; the others are scaled by 1 / (1 − rate).
        seed: int. Distinguishes layers and runs.

    Call arguments:
        inputs: float tensor of any shape.
        training: bool. If false, the inputs are returned unchanged.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        self.calls = self.add_weight("calls", shape=(), dtype="int32", initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        call = self.calls.assign_add(1)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed=tf.stack([self.seed, call]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
