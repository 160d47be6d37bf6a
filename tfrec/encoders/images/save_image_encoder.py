"""Writes a Keras image model as an encoder folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.encoders.folder_layout import ABOUT, ENCODER, ENCODER_OUTPUT
from tfrec.encoders.images.decode import decode_images
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.keras import keras
from tfrec.schema import POOLED_OUTPUT


def save_image_encoder(model: keras.Model, out: str | Path, *, source: str = "keras", force: bool = False) -> Path:
    """Writes a Keras image model as an encoder folder, for `load_image_encoder` and `encoder.image`.

    Its SavedModel follows the contract of text encoders: uint8 images in, `pooled_output` out. Its signature takes the
    contents of image files.

    Args:
        model: A model from RGB images `[batch, size, size, 3]` with values in 0…255 to vectors `[batch, dim]`, or to
            feature maps `[batch, height, width, dim]`, of which the mean is taken. A model that was trained on other
            values needs a layer before it that makes them, such as `keras.layers.Rescaling(1 / 255)`.
        out: The folder.
        source: Where the model comes from; recorded in the folder.
        force: Whether to replace an existing encoder folder `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: The model takes or gives anything else, or `out` exists and `force` is false.

    Example:
        >>> import tempfile
        >>> images = keras.Input((8, 8, 3))
        >>> means = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
        >>> folder = save_image_encoder(means, tempfile.mkdtemp() + "/means")
        >>> red = tf.io.encode_png(tf.constant([[[255, 0, 0]]], tf.uint8)).numpy()
        >>> from tfrec.encoders import load_image_encoder
        >>> load_image_encoder(folder).encode([red]).tolist()
        [[255.0, 0.0, 0.0]]
    """
    out, taken, given = Path(out), model.input_shape, model.output_shape
    if not isinstance(taken, tuple) or len(taken) != 4 or taken[1] != taken[2] or taken[1] is None or taken[3] != 3:
        raise InvalidInput(f"Expected a model of square RGB images [batch, size, size, 3]; this one takes {taken}.")
    if not isinstance(given, tuple) or len(given) not in (2, 4) or given[-1] is None:
        raise InvalidInput(f"Expected a model that gives vectors or feature maps; this one gives {given}.")
    with atomic_folder(out, ENCODER_OUTPUT, force) as work:
        served = _as_hub_object(model, taken[1])
        tf.saved_model.save(served, str(work / ENCODER), signatures={"serving_default": served.encode_files})
        about: dict[str, Any] = {"modality": "image", "dim": given[-1], "size": taken[1], "source": source}
        files = checksums(work)
        write_json(work / ABOUT, about | {"sha256": files[f"{ENCODER}/saved_model.pb"], FILES: files})
    return out


def _as_hub_object(model: keras.Model, size: int) -> Any:
    """An object with TF-Hub's reusable SavedModel interface, without Keras metadata."""

    def vectors(images: tf.Tensor) -> tf.Tensor:
        outputs = tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)
        return tf.reduce_mean(outputs, axis=[1, 2]) if outputs.shape.rank == 4 else outputs

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8, "images")])
    def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {POOLED_OUTPUT: vectors(images)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "images")])
    def encode_files(images: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, decoded = decode_images(images, size)
        return {POOLED_OUTPUT: tf.where(decoded[:, None], vectors(pixels), 0.0), "decoded": decoded}

    hub_object = tf.train.Checkpoint()
    hub_object.__call__, hub_object.encode_files = call, encode_files
    hub_object.variables = list(model.variables)
    hub_object.trainable_variables = list(model.trainable_variables)
    hub_object.regularization_losses = []
    return hub_object
