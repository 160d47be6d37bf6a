"""How a TextEncoder turns token ids into vectors: the hub's own graph, a faster one, or int8."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS, POOLED_OUTPUT

PRECISIONS = ("float32", "bfloat16", "int8")


class Reader(Protocol):
    """Reads batches."""

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """The encoder's dict of int32 `[batch, length]` → float32 `[batch, dim]`."""


class HubReader:
    """Calls the SavedModel as it is, with the weights that it has now."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """See `Reader`."""
        try:
            return self._layer(inputs, training=False)[POOLED_OUTPUT].numpy()
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            length = int(inputs[INPUT_MASK].shape[1])
            raise InvalidInput(
                f"The encoder cannot read texts of {length} tokens. Set encoder.seq_length to the positions it has."
                f" TensorFlow says: {str(error).strip()[:300]}"
            ) from None


class FastReader:
    """Calls `build_inference`, made from the SavedModel's weights as they were when it was loaded."""

    def __init__(self, layer: Any, config: BackboneConfig, precision: str) -> None:
        self._call = build_inference(restored(layer, config), config, precision)

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """See `Reader`."""
        return self._call(inputs[INPUT_WORD_IDS], inputs[INPUT_MASK], inputs[INPUT_TYPE_IDS]).numpy()


def restored(layer: Any, config: BackboneConfig) -> keras.Model:
    """The Keras model that `save_pair` wrote, from the variables of its SavedModel.

    Raises:
        InvalidInput: The variables are not those of such a model.
    """
    model = build_backbone(config)
    weights = [variable.numpy() for variable in layer.resolved_object.variables]
    if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in model.weights]:
        raise InvalidInput("The encoder's SavedModel is not of the shape its tfrec_encoder.json says. Import it again.")
    model.set_weights(weights)
    return model


def reader_of(
    layer: Any, config: BackboneConfig | None, precision: str, trainable: bool, hash: str, batch_size: int
) -> Reader:
    """The fastest reader that gives the vectors of `precision`.

    Args:
        layer: The encoder as a `hub.KerasLayer`.
        config: Its shape; None for a pair that was not made here.
        precision: One of `PRECISIONS`.
        trainable: Whether its weights may change between two calls.
        hash: Of the encoder.
        batch_size: The most rows of a batch.

    Raises:
        InvalidInput: Another precision than float32 for weights that may change, or for a pair not made here.
    """
    if config is None or trainable:
        if precision != "float32":
            what = "one whose weights are trained" if trainable else "a TF-Hub pair that was not made by tfrec"
            raise InvalidInput(f"encoder.precision={precision} does not work for {what}. Set it to float32.")
        return HubReader(layer)
    if precision == "int8":
        from tfrec.encoders.int8_runtime import Int8Reader

        return Int8Reader(restored(layer, config), config, hash, batch_size)
    return FastReader(layer, config, precision)
