"""A gate for each item and modality: how much of an item's text, picture or sound its vector is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.shared.step_dropout import StepDropout

_RATE = 0.1


class ModalityGates(keras.layers.Layer):
    """Multiplies each modality of an item by a gate in 0…2, which depends on all that is known of the item.

    All gates start at 1. They are functions of the item's vectors, not weights of the item, so items without events
    have them too. (Gated multimodal units, Arevalo et al. 2017, https://arxiv.org/abs/1702.01992.)

    In a training step each modality of an item is left out with a certain probability, but never all of them, so that
    an item does without its picture or its text.

    Args:
        widths: Numbers of columns of the modalities, in order.
        dropout: float in [0, 1). Share of the modalities that a training step leaves out.
        seed: int. Of what is left out.

    Call arguments:
        centred: float32 `[..., sum of widths]`, centred vectors; 0 where an item lacks a modality.
        training: bool. Whether modalities are left out; then the shape must be `[n, sum of widths]`.

    Returns:
        float32 of the same shape.
    """

    def __init__(self, widths: Sequence[int], dropout: float = 0.0, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.dropout, self.seed = tuple(widths), dropout, seed

    def build(self, input_shape: Any) -> None:
        # They hold `weight / rate`, as those of `ItemTable` do.
        self.kernel = self.add_weight("kernel", (sum(self.widths), len(self.widths)), initializer="zeros")
        self.bias = self.add_weight("bias", (len(self.widths),), initializer="zeros")
        self.drop = StepDropout(self.dropout, self.seed, name="dropout")
        self.drop(tf.zeros([1, 1]))
        super().build(input_shape)

    def call(self, centred: tf.Tensor, training: bool = False) -> tf.Tensor:
        factors = 2 * tf.sigmoid(_RATE * (tf.linalg.matmul(centred, self.kernel) + self.bias))
        if training and self.dropout:
            kept = self.drop(tf.ones([tf.shape(centred)[0], len(self.widths)]), training=True) > 0
            factors *= tf.cast(kept | ~tf.reduce_any(kept, axis=1, keepdims=True), tf.float32)
        return centred * tf.repeat(factors, self.widths, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "widths": self.widths, "dropout": self.dropout, "seed": self.seed}
