"""Writes a preprocessor and an encoder as the two SavedModels that `hub.KerasLayer` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

PREPROCESSOR, ENCODER, ABOUT = "preprocessor", "encoder", "tfrec_encoder.json"


def save_pair(preprocessor: tf.Module, model: keras.Model, folder: Path) -> None:
    """Writes `preprocessor/` and `encoder/` below an existing folder."""
    tf.saved_model.save(preprocessor, str(folder / PREPROCESSOR))
    tf.saved_model.save(_as_hub_object(model), str(folder / ENCODER))


def _as_hub_object(model: keras.Model) -> Any:
    """What TF-Hub's reusable SavedModel interface asks for, and nothing of Keras's own metadata."""
    specs = {
        name: tf.TensorSpec([None, None], tf.int32, name=name) for name in (INPUT_WORD_IDS, INPUT_MASK, INPUT_TYPE_IDS)
    }

    @tf.function
    def call(inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        return model(inputs, training=training)

    for training in (False, True):
        call.get_concrete_function(specs, training=training)
    hub_object = tf.train.Checkpoint()
    hub_object.__call__ = call
    hub_object.variables = list(model.variables)
    hub_object.trainable_variables = list(model.trainable_variables)
    hub_object.regularization_losses = []
    return hub_object
