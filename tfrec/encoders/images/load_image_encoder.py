"""`load_image_encoder`: loads a preset, an encoder folder or a TF-Hub handle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfrec.downloads import efficientnet_lite0_folder
from tfrec.encoders.encoder_hash import saved_model_weights_sha256
from tfrec.encoders.folder_layout import ABOUT, ENCODER
from tfrec.encoders.hub_handles import resolve_handle
from tfrec.encoders.images.decode import VERSION
from tfrec.encoders.images.efficientnet_lite import build_efficientnet_lite0, in_bfloat16, load_torch_weights
from tfrec.encoders.images.image_encoder import ImageEncoder
from tfrec.encoders.images.save_image_encoder import save_image_encoder
from tfrec.encoders.images.torch_file import read_torch_file
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir, folder_lock
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import StoredFolder, read_object
from tfrec.guard.guarded import guarded_model
from tfrec.progress import say

EFFICIENTNET_LITE0 = "efficientnet-lite0"
IMAGE_PRESETS = (EFFICIENTNET_LITE0,)
_LAYOUT = 2  # version of the converted preset in the cache; increase it when it would be written differently
_DEFAULT_SIZE = 224  # of a hub model that takes any size
_FINGERPRINT = "fingerprint.pb"
_CURE = "Write the image encoder again."


def load_image_encoder(
    name_or_folder_or_handle: str | Path, *, precision: Literal["float32", "bfloat16"] = "float32"
) -> ImageEncoder:
    """Loads an image encoder.

    Args:
        name_or_folder_or_handle: The preset "efficientnet-lite0", which is downloaded, converted and cached on first
            use; a folder that `save_image_encoder` wrote; or a handle for `hub.KerasLayer` of an image feature vector
            model.
        precision: Arithmetic of `ImageEncoder.encode`. The preset can compute in "bfloat16", which is faster on
            processors with instructions for it; its vectors then have cosines of about .9995 to those of float32.

    Returns:
        The encoder.

    Raises:
        InvalidInput: There is no such encoder, its files are invalid, or it does not have that precision.
        Unavailable: A download is needed but not possible.
    """
    name = str(name_or_folder_or_handle)
    if precision != "float32" and (name, precision) != (EFFICIENTNET_LITE0, "bfloat16"):
        raise InvalidInput(
            f"Images are encoded in float32, and by {EFFICIENTNET_LITE0} in bfloat16 too; received {precision} for "
            f"{name}. Set encoder.image_precision=float32."
        )
    folder = _preset_folder() if name == EFFICIENTNET_LITE0 else Path(name)
    if (folder / ABOUT).is_file():
        return _load_folder(folder, precision)
    if "://" not in name and not (folder / "saved_model.pb").is_file():
        raise InvalidInput(
            f"Expected an image encoder: {', '.join(IMAGE_PRESETS)}, a folder of save_image_encoder or a TF-Hub "
            f"handle; {name!r} is none of them. Check the name."
        )
    return _load_handle(name)


def _load_folder(folder: Path, precision: str) -> ImageEncoder:
    about = read_object(folder / ABOUT, {"dim": int, "sha256": str}, _CURE)
    if about.get("modality") != "image":
        raise InvalidInput(f"{folder} is a text encoder. Pass it as encoder.name, and an image encoder here.")
    read_object(folder / ABOUT, {"size": int}, _CURE)
    StoredFolder(folder, about, _CURE).check()
    return _encoder(guarded_model(folder / ENCODER), about["size"], "uint8", precision)


def _load_handle(handle: str) -> ImageEncoder:
    folder = resolve_handle(handle)
    size, takes = _input_of(folder)
    return _encoder(folder, size, takes)


def _encoder(folder: Path, size: int, takes: str, precision: str = "float32") -> ImageEncoder:
    identity = [VERSION, size, takes, checksums(folder, [_FINGERPRINT])]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    weights = saved_model_weights_sha256(folder, json.dumps(identity[:3]))
    options: dict[str, Any] = {"precision": precision, "restore": _in_bfloat16 if precision == "bfloat16" else None}
    return ImageEncoder(folder, size=size, takes=takes, hash=digest, weights_hash=weights, **options)


def _in_bfloat16(weights: list[np.ndarray]) -> Any:
    """The preset's network in bfloat16, from the weights of its SavedModel."""
    model = build_efficientnet_lite0()
    model.set_weights(weights)
    return in_bfloat16(model)


def _input_of(folder: Path) -> tuple[int, str]:
    """Size and dtype of the images that a SavedModel takes, by its default signature; 224 where it takes any size."""
    try:
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
        (spec,) = signature.structured_input_signature[1].values()
        height, width = spec.shape[1:3] if spec.shape.rank == 4 else (0, 1)
    except (KeyError, ValueError, OSError, tf.errors.OpError):
        height, width, spec = None, None, tf.TensorSpec([None, None, None, 3], tf.float32)
    if height != width or spec.dtype not in (tf.uint8, tf.float32):
        raise InvalidInput(
            f"Expected a model of square images [batch, size, size, 3] in {folder}, of uint8 or of float32 in 0…1; it "
            f"takes {spec.dtype.name} {spec.shape}. Wrap it in a Keras model for save_image_encoder."
        )
    return height or _DEFAULT_SIZE, spec.dtype.name


def _preset_folder() -> Path:
    folder = cache_dir() / "encoders" / f"{EFFICIENTNET_LITE0}-{_LAYOUT}"
    if not (folder / ABOUT).is_file():
        with folder_lock(folder.parent):
            if not (folder / ABOUT).is_file():  # otherwise another process wrote it while this one waited
                checkpoint = next(efficientnet_lite0_folder().glob("*.pth"))
                model: Any = build_efficientnet_lite0()
                load_torch_weights(model, read_torch_file(checkpoint))
                say(f"Converting {EFFICIENTNET_LITE0}")
                save_image_encoder(model, folder, source=EFFICIENTNET_LITE0, force=True)
    return folder
