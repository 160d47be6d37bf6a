"""Loads the encoder that pre-training continues from: a preset, a Hugging Face folder or an encoder folder."""

from __future__ import annotations

from pathlib import Path

from tfrec.encoders.checkpoints.huggingface import load_weights, read_checkpoint
from tfrec.encoders.checkpoints.save_fine_tuned import trainable_model
from tfrec.encoders.folder_layout import ABOUT, VOCABULARY
from tfrec.encoders.presets import checkpoint_folder, is_preset
from tfrec.encoders.text_encoder import load_folder
from tfrec.encoders.tokenization.vocabulary import Vocabulary, vocabulary_from_dict
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras


def load_starting_point(source: str, dtype: str = "float32") -> tuple[BackboneConfig, Vocabulary, keras.Model]:
    """Loads an encoder for further training.

    Args:
        source: A preset, a Hugging Face folder, or a folder that `tfrec encoder` wrote.
        dtype: "float32" or "mixed_bfloat16".

    Returns:
        Config, vocabulary, and the Keras model with its weights.

    Raises:
        InvalidInput: The source is none of these, or is an encoder folder without a vocabulary file.
    """
    folder = Path(source)
    if not is_preset(source) and (folder / ABOUT).is_file():
        if not (folder / VOCABULARY).is_file():
            raise InvalidInput(
                f"{folder} has no {VOCABULARY}: it was made from TF-Hub handles, or by an earlier version. Import or "
                "pre-train it again."
            )
        model, config = trainable_model(load_folder(folder), dtype)
        return config, vocabulary_from_dict(read_json(folder / VOCABULARY)), model
    checkpoint = read_checkpoint(checkpoint_folder(source))
    model = build_backbone(checkpoint.config, dtype)
    load_weights(model, checkpoint.config, checkpoint.tensors)
    return checkpoint.config, checkpoint.vocabulary, model
