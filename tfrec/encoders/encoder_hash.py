"""The identity of an encoder, computed from its files: what a folder says of itself is never a key to a cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.folder_layout import VOCABULARY
from tfrec.files.checksums import checksums
from tfrec.guard.finite_weights import saved_variables

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
        _add_variables(digest, folder)
    return digest.hexdigest()


def saved_model_weights_sha256(folder: Path, shape: str) -> str:
    """SHA-256 of a shape and of the variables of one SavedModel, with the use and the limits of `weights_sha256`.

    Args:
        folder: Folder of the SavedModel.
        shape: What else determines what its weights mean.

    Raises:
        InvalidInput: The weights cannot be read.
    """
    digest = hashlib.sha256(shape.encode())
    _add_variables(digest, folder)
    return digest.hexdigest()


def _add_variables(digest: Any, folder: Path) -> None:
    for name, value in saved_variables(folder):
        array = np.asarray(value)
        digest.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
