"""The identity of an encoder, computed from its files: what a folder says of itself is never a key to a cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.folder_layout import VOCABULARY
from tfrec.errors import InvalidInput
from tfrec.files.checksums import checksums

_FINGERPRINT = "fingerprint.pb"  # TensorFlow's random name for one act of saving; it determines no vector


def encoder_sha256(preprocessor: Path, encoder: Path, backbone: Mapping[str, Any] | None) -> str:
    """SHA-256 of everything that determines the vectors: both programs, their weights and the shape that we read.

    Args:
        preprocessor: Folder of the preprocessor's SavedModel.
        encoder: Folder of the encoder's SavedModel.
        backbone: The shape that `tfrec_encoder.json` gives; None for a pair of handles.
    """
    parts = [checksums(folder, [_FINGERPRINT]) for folder in (preprocessor, encoder)]
    return hashlib.sha256(json.dumps([backbone, *parts], sort_keys=True).encode()).hexdigest()


def weights_sha256(preprocessor: Path, encoder: Path, backbone: Mapping[str, Any] | None) -> str:
    """SHA-256 of shape, vocabulary and weights without the programs.

    It is the same after a checkpoint is converted again, when TensorFlow names the same functions otherwise. It tells
    whether two encoders come from one checkpoint, and is no key to a cache.

    Args:
        preprocessor: Folder of the preprocessor's SavedModel.
        encoder: Folder of the encoder's SavedModel.
        backbone: As for `encoder_sha256`.

    Raises:
        InvalidInput: The weights cannot be read.
    """
    digest = hashlib.sha256(json.dumps(backbone, sort_keys=True).encode())
    vocabulary = encoder.parent / VOCABULARY
    digest.update(vocabulary.read_bytes() if vocabulary.is_file() else b"")
    for folder in (preprocessor, encoder):
        for name, value in _variables(folder):
            digest.update(f"{name}\0{value.dtype}\0{value.shape}\0".encode())
            digest.update(value.tobytes() if value.dtype != object else repr(value.tolist()).encode())
    return digest.hexdigest()


def _variables(folder: Path) -> list[tuple[str, np.ndarray]]:
    """Name and value of each variable, in name order; none for a model without variables."""
    prefix = folder / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():
        return []
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = sorted(name for name in reader.get_variable_to_shape_map() if not name.startswith("_CHECKPOINTABLE"))
        return [(name, np.asarray(reader.get_tensor(name))) for name in names]
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"The weights in {prefix.parent} cannot be read: {error}. Import the encoder again."
        ) from None
