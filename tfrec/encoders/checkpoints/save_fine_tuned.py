"""An encoder folder made of another one's preprocessor and of weights that were trained."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.save_encoder import about_encoder, save_encoder_part
from tfrec.encoders.folder_layout import ABOUT, ENCODER, PREPROCESSOR, VOCABULARY
from tfrec.encoders.runtimes import restored
from tfrec.encoders.text_encoder import TextEncoder
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, write_json
from tfrec.keras import keras


def trainable_model(encoder: TextEncoder, dtype: str = "float32") -> tuple[keras.Model, BackboneConfig]:
    """The Keras model behind an encoder, a copy that can be trained layer by layer, and its shape.

    Args:
        encoder: What `load_encoder` gave.
        dtype: "float32" or "mixed_bfloat16".

    Raises:
        InvalidInput: The encoder is a pair of TF-Hub SavedModels that was not made here: its layers are not known.
    """
    if encoder.backbone is None:
        raise InvalidInput(
            "encoder.trainable needs an encoder whose layers are known: a preset, or a folder that `tfrec encoder "
            "import` made of a checkpoint. A pair of TF-Hub handles works frozen, or in the behaviour-text model."
        )
    model = build_backbone(encoder.backbone, dtype)
    model.set_weights(restored(encoder.encoder, encoder.backbone).get_weights())
    return model, encoder.backbone


def save_tuned(
    out: Path, encoder: TextEncoder, model: keras.Model, *, source: str, extra: dict[str, Any] | None = None
) -> None:
    """Writes an encoder folder, whole or not at all; replaces one that is there.

    Args:
        out: The folder.
        encoder: Whose preprocessor is copied.
        model: float32, of the shape `encoder.backbone`.
        source: What it was made of.
        extra: Name to content of JSON files to write beside.
    """
    config = encoder.backbone
    assert config is not None
    digest = hashlib.sha256(encoder.hash.encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    about = about_encoder(config, digest.hexdigest(), source)
    vocabulary = Path(encoder.encoder_handle).parent / VOCABULARY
    with atomic_folder(out, force=True) as work:
        shutil.copytree(encoder.preprocessor_handle, work / PREPROCESSOR)
        save_encoder_part(model, work / ENCODER)
        if vocabulary.is_file():
            shutil.copy(vocabulary, work / VOCABULARY)
        for name, value in {ABOUT: about, **(extra or {})}.items():
            write_json(work / name, value)
