"""Writes a preprocessor and an encoder as the two SavedModels that `hub.KerasLayer` takes, and what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.folder_layout import ABOUT, ENCODER, PREPROCESSOR, VOCABULARY
from tfrec.encoders.tokenization.bert_preprocessor import DEFAULT_LENGTH
from tfrec.encoders.tokenization.vocabulary import BytePairs, WordPieces
from tfrec.encoders.transformers.config import BackboneConfig, describe
from tfrec.files import atomic_folder, write_json
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS


def save_encoder(
    out: Path,
    config: BackboneConfig,
    vocabulary: WordPieces | BytePairs,
    model: keras.Model,
    *,
    source: str,
    sha256: str | None = None,
    extra: Mapping[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Writes an encoder folder, whole or not at all.

    Args:
        out: The folder.
        config: The encoder's shape.
        vocabulary: How its texts become tokens.
        model: What `build_backbone(config)` made, with its weights.
        source: What it was made of.
        sha256: Of all that decides the vectors; made of the weights where None.
        extra: Name to content of JSON files to write beside.
        force: Replace `out`.
    """
    preprocessor = vocabulary.preprocessor(min(DEFAULT_LENGTH, config.max_positions))
    about = about_encoder(config, sha256 or _sha256(config, vocabulary, model), source)
    with atomic_folder(out, force) as work:
        save_pair(preprocessor, model, work)
        for name, value in {ABOUT: about, VOCABULARY: vocabulary.to_dict(), **(extra or {})}.items():
            write_json(work / name, value)


def about_encoder(config: BackboneConfig, sha256: str, source: str) -> dict[str, Any]:
    """What an encoder folder says about itself."""
    about: dict[str, Any] = {"dim": config.width, "max_seq_length": config.max_positions, "pooling": config.pooling}
    return about | {
        "normalised": config.normalise,
        "backbone": describe(config),
        "sha256": sha256,
        "source": source,
    }


def _sha256(config: BackboneConfig, vocabulary: WordPieces | BytePairs, model: keras.Model) -> str:
    digest = hashlib.sha256(json.dumps({**describe(config), **vocabulary.to_dict()}, sort_keys=True).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()


def save_pair(preprocessor: tf.Module, model: keras.Model, folder: Path) -> None:
    """Writes `preprocessor/` and `encoder/` below an existing folder."""
    tf.saved_model.save(preprocessor, str(folder / PREPROCESSOR))
    save_encoder_part(model, folder / ENCODER)


def save_encoder_part(model: keras.Model, folder: Path) -> None:
    """Writes the encoder of a pair."""
    tf.saved_model.save(_as_hub_object(model), str(folder))


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
