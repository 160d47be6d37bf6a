"""Writes an encoder folder: a preprocessor and an encoder as SavedModels for `hub.KerasLayer`, and their metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.folder_layout import ABOUT, ENCODER, ENCODER_OUTPUT, PREPROCESSOR, VOCABULARY
from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH
from tfrec.encoders.tokenization.vocabulary import Vocabulary
from tfrec.encoders.transformers.config import BackboneConfig, config_to_dict
from tfrec.files import atomic_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS


def save_encoder(
    out: Path,
    config: BackboneConfig,
    vocabulary: Vocabulary,
    model: keras.Model,
    *,
    source: str,
    sha256: str | None = None,
    prompts: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Writes an encoder folder atomically.

    Args:
        out: The folder.
        config: Shape of the encoder.
        vocabulary: Vocabulary of its tokeniser.
        model: A model made by `build_backbone(config)`, with its weights.
        source: Where the encoder comes from; recorded in the metadata.
        sha256: Hash of everything that determines the vectors. None computes it from the weights.
        prompts: What is written before texts, "query" and "item", unless the configuration says otherwise.
        extra: File name to content of further JSON files to write.
        force: Whether to replace an existing `out`.

    Raises:
        InvalidInput: `out` exists and `force` is false.
    """
    preprocessor = vocabulary.preprocessor(min(DEFAULT_LENGTH, config.max_positions))
    about = about_encoder(config, sha256 or _sha256(config, vocabulary, model), source, prompts)
    with atomic_folder(out, ENCODER_OUTPUT, force) as work:
        save_pair(preprocessor, model, work)
        for name, value in {VOCABULARY: vocabulary.to_dict(), **(extra or {})}.items():
            write_json(work / name, value)
        write_json(work / ABOUT, about | {FILES: checksums(work)})


def about_encoder(
    config: BackboneConfig, sha256: str, source: str, prompts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The metadata of an encoder folder, the content of `tfrec_encoder.json`.

    Args:
        config: Shape of the encoder.
        sha256: Hash of everything that determines the vectors.
        source: Where the encoder comes from.
        prompts: As in `save_encoder`.
    """
    about: dict[str, Any] = {"dim": config.dim, "max_seq_length": config.max_positions, "pooling": config.pooling}
    return about | {
        "normalised": config.normalise,
        "backbone": config_to_dict(config),
        "sha256": sha256,
        "source": source,
        **({"prompts": dict(prompts)} if prompts else {}),
    }


def _sha256(config: BackboneConfig, vocabulary: Vocabulary, model: keras.Model) -> str:
    digest = hashlib.sha256(json.dumps({**config_to_dict(config), **vocabulary.to_dict()}, sort_keys=True).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()


def save_pair(preprocessor: tf.Module, model: keras.Model, folder: Path) -> None:
    """Writes `preprocessor/` and `encoder/` into an existing folder.

    Args:
        preprocessor: Of `WordPieces.preprocessor` or `BytePairs.preprocessor`.
        model: A model made by `build_backbone`.
        folder: The folder.
    """
    tf.saved_model.save(preprocessor, str(folder / PREPROCESSOR))
    save_encoder_part(model, folder / ENCODER)


def save_encoder_part(model: keras.Model, folder: Path) -> None:
    """Writes the encoder of a pair as a SavedModel to `folder`."""
    tf.saved_model.save(_as_hub_object(model), str(folder))


def _as_hub_object(model: keras.Model) -> Any:
    """An object with TF-Hub's reusable SavedModel interface, without Keras metadata."""
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
