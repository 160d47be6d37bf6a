"""Low-rank adapters (LoRA): few weights to train, which can be merged into the plain model afterwards."""

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
    """A frozen dense layer plus a trained product of two thin matrices.

    `x·W + b + (alpha / rank) · x·A·B` (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685). B starts at 0, so the
    output is unchanged at first.

    Args:
        dense: A built dense layer; it is frozen.
        rank: int. Inner width of the product.
        alpha: float. Scale of the product, relative to the rank.
        seed: int. Seed of the initial A.

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
        initializer = keras.initializers.RandomNormal(stddev=wide**-0.5, seed=seed)
        self.down = self.add_weight("down", shape=(wide, rank), initializer=initializer)
        self.up = self.add_weight("up", shape=(rank, out), initializer="zeros")
        self.built = True

    @property
    def kernel(self) -> tf.Tensor:
        """The kernel of the equivalent dense layer, float32 `[in, out]`."""
        return self.dense.kernel + tf.matmul(self.down, self.up) * self.scale

    @property
    def bias(self) -> tf.Tensor:
        """The bias of the equivalent dense layer, float32 `[out]`."""
        return self.dense.bias

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See the class."""
        return self.dense(inputs) + tf.matmul(tf.matmul(tf.cast(inputs, self.compute_dtype), self.down), self.up) * (
            tf.cast(self.scale, self.compute_dtype)
        )


def add_lora(model: keras.Model, config: BackboneConfig, rank: int, alpha: float | None = None, seed: int = 0) -> None:
    """Adds an adapter to every dense layer of the blocks, in place. Then only the adapters are trainable.

    Args:
        model: A model made by `build_backbone(config)`.
        config: Shape of the encoder.
        rank: int. At least 1 and below the width.
        alpha: float. Scale of the adapters. Defaults to `2 · rank`, a common convention.
        seed: int. Seed of the initial weights.

    Raises:
        InvalidInput: The rank is out of range.
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


def merge_lora(model: keras.Model, config: BackboneConfig) -> keras.Model:
    """A plain float32 model equivalent to `model`, with its adapters, if any, merged into the kernels."""
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
        if source.relative is not None:
            layer.relative.assign(source.relative)
    return plain
