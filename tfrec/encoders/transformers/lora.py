"""Low-rank adapters: few numbers to train, and after merging the very graph that there was before."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

ADAPTED = ("qkv", "attention_out", "inner", "outer")
"""The dense layers of a block that get an adapter."""


class LowRank(keras.layers.Layer):
    """A dense layer that stays as it is, and beside it a product of two thin matrices that is trained.

    `x·W + b + (alpha / rank) · x·A·B` (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685). B starts at 0, so that
    nothing changes at first.

    Args:
        dense: The layer, built.
        rank: int. Width between A and B.
        alpha: float.
        seed: int. Of A.

    Call arguments:
        inputs: `[..., in]`.

    Returns:
        `[..., out]`.
    """

    def __init__(self, dense: keras.layers.Dense, rank: int, alpha: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(name=dense.name, dtype=dense.dtype_policy, **kwargs)
        self.dense, self.rank, self.scale = dense, rank, alpha / rank
        dense.trainable = False
        wide, out = dense.kernel.shape
        start = keras.initializers.RandomNormal(stddev=wide**-0.5, seed=seed)
        self.down = self.add_weight("down", shape=(wide, rank), initializer=start)
        self.up = self.add_weight("up", shape=(rank, out), initializer="zeros")
        self.built = True

    @property
    def kernel(self) -> tf.Tensor:
        """float32 `[in, out]`: the weights that a plain layer would need to do the same."""
        return self.dense.kernel + tf.matmul(self.down, self.up) * self.scale

    @property
    def bias(self) -> tf.Tensor:
        """float32 `[out]`."""
        return self.dense.bias

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See the class."""
        return self.dense(inputs) + tf.matmul(tf.matmul(tf.cast(inputs, self.compute_dtype), self.down), self.up) * (
            tf.cast(self.scale, self.compute_dtype)
        )


def add_lora(model: keras.Model, config: BackboneConfig, rank: int, alpha: float | None = None, seed: int = 0) -> None:
    """Puts an adapter beside every dense layer of the blocks, in place; only the adapters are trainable after it.

    Args:
        model: What `build_backbone(config)` made.
        config: Its shape.
        rank: At least 1, and less than the width.
        alpha: Strength of the adapters; `2 · rank` where None.
        seed: Of their first weights.

    Raises:
        InvalidInput: The rank is not in that range.
    """
    if not 1 <= rank < config.width:
        raise InvalidInput(f"Expected encoder.lora_rank from 1 to {config.width - 1}; received {rank}.")
    for layer in model.layers:
        layer.trainable = layer.name.startswith("layer_")
    for index in range(config.layers):
        block = model.get_layer(f"layer_{index}")
        for place, name in enumerate(ADAPTED):
            number = seed * 10_000 + index * len(ADAPTED) + place
            setattr(block, name, LowRank(getattr(block, name), rank, alpha or 2.0 * rank, number))
        for name in ("attention_norm", "norm"):
            getattr(block, name).trainable = False


def merged(model: keras.Model, config: BackboneConfig) -> keras.Model:
    """A plain float32 model that does what `model` does, its adapters multiplied out where it has any."""
    plain = build_backbone(config)
    for layer in plain.layers:
        source = model.get_layer(layer.name) if layer.weights else None
        if source is None:
            continue
        if not layer.name.startswith("layer_"):
            layer.set_weights(source.get_weights())
            continue
        for name in ADAPTED:
            dense = getattr(source, name)
            getattr(layer, name).set_weights([tf.convert_to_tensor(dense.kernel), tf.convert_to_tensor(dense.bias)])
        for name in ("attention_norm", "norm"):
            getattr(layer, name).set_weights(getattr(source, name).get_weights())
    return plain
