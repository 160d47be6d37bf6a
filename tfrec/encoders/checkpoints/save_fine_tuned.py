"""Writes a fine-tuned encoder: a copy of another encoder's preprocessor, and trained weights."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.save_encoder import about_encoder, save_encoder_part
from tfrec.encoders.folder_layout import ABOUT, ENCODER, ENCODER_OUTPUT, PREPROCESSOR, VOCABULARY
from tfrec.encoders.runtimes import restore_backbone
from tfrec.encoders.text_encoder import TextEncoder
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.keras import keras


def trainable_model(encoder: TextEncoder, dtype: str = "float32") -> tuple[keras.Model, BackboneConfig]:
    """A trainable copy of the Keras model behind an encoder, and its config.

    Args:
        encoder: Of `load_encoder`.
        dtype: "float32" or "mixed_bfloat16".

    Raises:
        InvalidInput: tfrec did not make the encoder, so its layers are not known; or its weights are stored in small.
    """
    if encoder.backbone is None:
        raise InvalidInput(
            "encoder.trainable needs an encoder whose layers are known: a preset, or a folder that `tfrec encoder "
            "import` made from a checkpoint. A pair of TF-Hub handles works only frozen or in the behaviour-text model."
        )
    if encoder.backbone.weights != "float32":
        raise InvalidInput(
            f"The weights of this encoder are stored as {encoder.backbone.weights}, which cannot be trained. Train the "
            "float32 encoder that it was made of, and compress the result."
        )
    model = build_backbone(encoder.backbone, dtype)
    model.set_weights(restore_backbone(encoder.encoder, encoder.backbone).get_weights())
    return model, encoder.backbone


def save_tuned(
    out: Path,
    encoder: TextEncoder,
    model: keras.Model,
    *,
    source: str,
    config: BackboneConfig | None = None,
    extra: dict[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Writes an encoder folder atomically.

    Args:
        out: The folder.
        encoder: The encoder whose preprocessor is copied.
        model: A float32 model.
        source: Where the encoder comes from; recorded in the metadata.
        config: Shape of the model. None: `encoder.backbone`.
        extra: File name to content of further JSON files to write.
        force: Whether to replace an existing `out`.
    """
    config = config or encoder.backbone
    assert config is not None
    digest = hashlib.sha256(f"{encoder.weights_hash}{config.cut or ''}".encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    about = about_encoder(config, digest.hexdigest(), source, encoder.prompts)
    vocabulary = Path(encoder.encoder_handle).parent / VOCABULARY
    with atomic_folder(out, ENCODER_OUTPUT, force) as work:
        shutil.copytree(encoder.preprocessor_handle, work / PREPROCESSOR)
        save_encoder_part(model, work / ENCODER)
        if vocabulary.is_file():
            shutil.copy(vocabulary, work / VOCABULARY)
        for name, value in (extra or {}).items():
            write_json(work / name, value)
        write_json(work / ABOUT, about | {FILES: checksums(work)})
