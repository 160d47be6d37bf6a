"""ImageEncoder: encodes image files as vectors, with any SavedModel that takes images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.images.decode import decode_images
from tfrec.encoders.saved_model_layer import SavedModelLayer
from tfrec.errors import InvalidInput
from tfrec.guard.guarded import guarded_model
from tfrec.keras import keras
from tfrec.progress import track
from tfrec.schema import DEFAULT_OUTPUT, POOLED_OUTPUT


class ImageEncoder:
    """Encodes images as vectors. Use `load_image_encoder` to create one.

    Args:
        folder: Folder of a SavedModel that can be called with images `[batch, size, size, 3]`: uint8 ones, or float32
            ones in 0…1, as TF-Hub's image contract has it. It returns vectors float32 `[batch, dim]`, or a dict of
            outputs with `pooled_output` or `default`.
        size: int. Height and width of its images.
        takes: str. "uint8" or "float32".
        hash: str. SHA-256 of everything that determines the vectors.
        weights_hash: str. SHA-256 of the weights, the same after they are converted again.
        precision: str. Arithmetic of `encode`.
        restore: Function of the SavedModel's weights, arrays in its order, that gives a Keras model of that precision;
            None to call the SavedModel.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: int,
        takes: str,
        hash: str,
        weights_hash: str,
        precision: str = "float32",
        restore: Callable[[list[np.ndarray]], keras.Model] | None = None,
    ) -> None:
        self.folder, self.size, self.takes = folder, size, takes
        self.hash, self.weights_hash = hash, weights_hash
        self.precision, self._restore = precision, restore

    @cached_property
    def encoder(self) -> SavedModelLayer:
        """The SavedModel as a Keras layer."""
        try:
            return SavedModelLayer(tf.saved_model.load(str(guarded_model(self.folder))), name="image_encoder")
        except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            raise InvalidInput(f"The image encoder in {self.folder} cannot be loaded: {error}") from None

    @cached_property
    def dim(self) -> int:
        """Width of the vectors."""
        try:
            vectors = self._call(tf.zeros([1, self.size, self.size, 3], tf.uint8))
        except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
            raise InvalidInput(
                f"The SavedModel in {self.folder} does not turn images of {self.size} × {self.size} pixels into "
                f"vectors: {str(error).strip()[:300]}. Pass an image feature vector model, not a classifier of files."
            ) from None
        if vectors.shape.rank != 2:
            raise InvalidInput(f"Expected vectors [batch, dim] of {self.folder}; received {vectors.shape}.")
        return int(vectors.shape[1])

    def vectors(self, contents: Any) -> Any:
        """Encodes image files in float32; usable inside a graph.

        Args:
            contents: string `[batch]`, contents of files that `decode_images` takes.

        Returns:
            float32 `[batch, dim]`; 0 where there is no image, or one that cannot be decoded.
        """
        return self._vectors(contents, self._call)

    def encode(self, contents: Sequence[bytes], *, batch_size: int = 32) -> np.ndarray:
        """Encodes image files, in the arithmetic of `precision`.

        Args:
            contents: Contents of files that `decode_images` takes; empty for no image.
            batch_size: int. Images at a time.

        Returns:
            float32 `[len(contents), dim]`; 0 where there is no image, or one that cannot be decoded.

        Raises:
            InvalidInput: `batch_size` is below 1, or a vector is not finite.
        """
        if batch_size < 1:
            raise InvalidInput(f"Expected a batch_size of at least 1; received {batch_size}.")
        vectors = np.zeros((len(contents), self.dim), np.float32)
        starts = range(0, len(contents), batch_size)
        for start in track(starts, "Encoding images") if len(starts) > 1 else starts:
            rows = slice(start, start + batch_size)
            vectors[rows] = self._graph(tf.constant(list(contents[rows]), tf.string)).numpy()
        if not np.isfinite(vectors).all():
            raise InvalidInput(f"The image encoder in {self.folder} gives vectors that are not finite. Get it again.")
        return vectors

    @cached_property
    def network(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """What `encode` calls in the arithmetic of `precision`: uint8 `[batch, size, size, 3]` to `[batch, dim]`."""
        if self._restore is None:
            return self._call
        return self._restore([variable.numpy() for variable in self.encoder.resolved_object.variables])

    @cached_property
    def _graph(self) -> Any:
        call = functools.partial(self._vectors, network=self.network)
        return tf.function(call, input_signature=[tf.TensorSpec([None], tf.string)])

    def _vectors(self, contents: Any, network: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        images, decoded = decode_images(contents, self.size)
        return tf.where(decoded[:, None], network(images), 0.0)

    def _call(self, images: tf.Tensor) -> tf.Tensor:
        outputs = self.encoder(images if self.takes == "uint8" else tf.cast(images, tf.float32) / 255)
        if isinstance(outputs, dict):
            outputs = outputs[POOLED_OUTPUT if POOLED_OUTPUT in outputs else DEFAULT_OUTPUT]
        return tf.cast(outputs, tf.float32)
