"""Pictures in requests: the contents of image files become vectors of items that the catalogue need not have."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.models.shared.item_features import IMAGE
from tfrec.serving.modules.string_ops import compact


class ImageQueries:
    """Reads pictures as a NextItemModel reads those of its catalogue.

    It is hidden from the object graph of the SavedModel; `saved_objects` is what has to be in it.

    Args:
        model: A NextItemModel with the modality "image".
        encoder: The ImageEncoder of its catalogue.
    """

    def __init__(self, model: Any, encoder: Any) -> None:
        self._model, self._encoder = model, encoder
        self.saved_objects: list[Any] = [encoder.encoder.resolved_object]

    def item_vectors(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The vectors of items in a history that are known by a picture alone.

        Args:
            images: string `[n]`, contents of image files; "" is padding.

        Returns:
            vectors: float32 `[n, dim]`. known: bool `[n]`, false for padding and for what cannot be decoded.
        """
        given = images != ""
        encoded = self._encoder.vectors(tf.boolean_mask(images, given))
        shape = tf.stack([tf.size(images), tf.shape(encoded)[1]])
        encoded = tf.scatter_nd(tf.cast(tf.where(given), tf.int32), encoded, shape)
        encoded = tf.ensure_shape(encoded, [None, self._encoder.dim])
        return self._model.modality_to_vector(IMAGE, tf.math.l2_normalize(encoded, axis=1)), _known(encoded)

    def query(self, history_images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The queries of histories of pictures, string `[B, H]`: float32 `[B, dim]`, and whether a row has any."""
        width = history_images.shape[1]
        vectors, known = self.item_vectors(tf.reshape(history_images, [-1]))
        vectors, known = tf.reshape(vectors, [-1, width, vectors.shape[1]]), tf.reshape(known, [-1, width])
        vectors, mask = compact(known, vectors, known, length=self._model.max_history, pads=(0.0, False))
        return self._model.query_from_vectors(vectors, mask), tf.reduce_any(known, axis=1)


def _known(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(encoded != 0, axis=1)
