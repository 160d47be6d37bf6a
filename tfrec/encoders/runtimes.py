"""Runtimes that turn token ids into vectors: the SavedModel itself, a faster graph, or int8."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.errors import InvalidInput
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS, POOLED_OUTPUT

PRECISIONS = ("float32", "bfloat16", "int8")


class EncoderRuntime(Protocol):
    """Encodes batches of token ids."""

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """Encodes a batch: a dict of int32 `[batch, length]` → float32 `[batch, dim]`."""


class SavedModelRuntime:
    """Calls the SavedModel, with its current weights."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """See `EncoderRuntime`."""
        try:
            return self._layer(inputs, training=False)[POOLED_OUTPUT].numpy()
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            length = int(inputs[INPUT_MASK].shape[1])
            raise InvalidInput(
                f"The encoder cannot encode texts of {length} tokens. Set encoder.seq_length to its number of positions"
                f" at most. TensorFlow says: {str(error).strip()[:300]}"
            ) from None


class FastRuntime:
    """Calls the graph of `build_inference`, with the weights that the SavedModel has at construction."""

    def __init__(self, layer: Any, config: BackboneConfig, precision: str) -> None:
        self._call = build_inference(restore_backbone(layer, config), config, precision)

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """See `EncoderRuntime`."""
        return self._call(inputs[INPUT_WORD_IDS], inputs[INPUT_MASK], inputs[INPUT_TYPE_IDS]).numpy()


def restore_backbone(layer: Any, config: BackboneConfig) -> keras.Model:
    """Rebuilds the Keras model behind a SavedModel that `save_pair` wrote, from its variables.

    Args:
        layer: The encoder as a `SavedModelLayer`.
        config: Shape of the encoder.

    Raises:
        InvalidInput: The variables do not match the config.
    """
    model = build_backbone(config)
    weights = [variable.numpy() for variable in layer.resolved_object.variables]
    if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in model.weights]:
        raise InvalidInput("The encoder's SavedModel does not match its tfrec_encoder.json. Import it again.")
    names = [weight.name for weight in model.weights]
    refuse_not_finite(zip(names, weights), "The encoder's weights", "Import the encoder again.")
    model.set_weights(weights)
    return model


def select_runtime(
    layer: Any, config: BackboneConfig | None, precision: str, trainable: bool, hash: str, batch_size: int
) -> EncoderRuntime:
    """The fastest runtime for a precision.

    Args:
        layer: The encoder as a `SavedModelLayer`.
        config: Shape of the encoder; None for a TF-Hub pair that tfrec did not make.
        precision: One of `PRECISIONS`.
        trainable: Whether the weights may change between two calls.
        hash: Hash of the encoder.
        batch_size: int. Maximum number of rows of a batch.

    Raises:
        InvalidInput: The precision is not float32, and the weights may change, tfrec did not make the pair, or the
            encoder is static.
    """
    if config is None or trainable:
        if precision != "float32":
            what = "an encoder whose weights are trained" if trainable else "a TF-Hub pair that was not made by tfrec"
            raise InvalidInput(f"encoder.precision={precision} does not work for {what}. Set it to float32.")
        return SavedModelRuntime(layer)
    if config.family == "static" and precision != "float32":
        raise InvalidInput(
            f"encoder.precision={precision} does not work for a static encoder, which multiplies nothing. Set it to "
            f"float32, or store its table in small: tfrec encoder compress --to {precision}."
        )
    if precision == "int8":
        from tfrec.encoders.int8_runtime import Int8Runtime

        return Int8Runtime(restore_backbone(layer, config), config, hash, batch_size)
    return FastRuntime(layer, config, precision)
