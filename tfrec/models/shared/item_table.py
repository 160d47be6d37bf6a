"""The catalogue as vectors: a linear reading of the text, and what the id adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.shared.modality_gates import ModalityGates
from tfrec.models.shared.step_dropout import StepDropout

_BLOCK = 2**16
"""Text vectors that are read together: up to as many, their components are those of a single product."""


class ItemTable(keras.layers.Layer):
    """Item vectors: P · (text − mean) + id.

    P starts at the principal components of the text vectors, whose spectrum is kept, and the id part at 0, so that an
    untrained table compares items by their text, and an item without events goes on doing so.

    An optimiser like Adam moves every weight by about the learning rate, whatever its gradient. The table has more
    weights than all the rest together and overfits first, so it is slowed: it holds `weight / rate`, and its gradient
    step is `rate` times that of the other layers.

    Args:
        num_items: int. Items in the catalogue.
        text_dim: int. Width of the text vectors; 0 for a model without text.
        dim: int. Width of the item vectors.
        use_id: bool. Whether items have a vector of their own.
        id_rate: float. Speed of the id part relative to the learning rate; 1 without text, where ids are all there is.
        projection_rate: float. Speed of P; 0 keeps it at the principal components.
        id_dropout: float in [0, 1). Share of the items whose id part is left out of a training step, so that P learns
            to do without (after DropoutNet, Volkovs et al. 2017).
        seed: int. Of what is left out.
        modalities: Widths of the modalities that the text vectors consist of, the text's own first (`fuse`), which get
            gates (`ModalityGates`); none for text alone.
        modality_dropout: float in [0, 1). Share of the modalities of items that a training step leaves out.

    Call arguments:
        indices: int32 of any shape. Catalogue positions; −1 is padding and gives a vector of zeros.

    Returns:
        float32 `indices.shape + [dim]`, of the text's length: near-1 vectors of items that say something.
    """

    def __init__(
        self,
        num_items: int,
        text_dim: int,
        dim: int,
        use_id: bool = True,
        id_rate: float = 0.2,
        projection_rate: float = 0.02,
        id_dropout: float = 0.0,
        seed: int = 0,
        modalities: Sequence[int] = (),
        modality_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not text_dim and not use_id:
            raise ValueError("Expected text vectors, ids or both; received neither.")
        self.num_items, self.text_dim, self.dim, self.use_id = num_items, text_dim, dim, use_id
        self.id_rate = id_rate if text_dim else 1.0
        self.projection_rate = projection_rate
        self.id_dropout, self.seed = id_dropout if text_dim else 0.0, seed
        self.modalities, self.modality_dropout = tuple(modalities), modality_dropout

    def build(self, input_shape: Any) -> None:
        if self.text_dim:
            self.add_text()
            self.mean = self.add_weight("mean", shape=(self.text_dim,), initializer="zeros", trainable=False)
            self.components = self.add_weight("components", shape=(self.text_dim, self.dim), trainable=False)
            if self.projection_rate:
                self.projection = self.add_weight("projection", (self.text_dim, self.dim), initializer="zeros")
        if self.use_id:
            self.add_ids()
        self.drop_ids = StepDropout(self.id_dropout, self.seed, name="id_dropout")
        self.drop_ids(tf.zeros([1, 1]))
        if self.modalities:
            self.gates = ModalityGates(self.modalities, self.modality_dropout, self.seed + 1, name="gates")
            self.gates(tf.zeros([1, self.text_dim]))
        super().build(input_shape)

    def add_text(self) -> None:
        """Makes the place of the text vectors."""
        self.text = self.add_weight("text", shape=(self.num_items, self.text_dim), trainable=False)

    def add_ids(self) -> None:
        """Makes the place of the id vectors."""
        start = keras.initializers.RandomNormal(stddev=self.id_stddev, seed=17) if self.id_stddev else "zeros"
        self.ids = self.add_weight("ids", shape=(self.num_items, self.dim), initializer=start)

    @property
    def id_stddev(self) -> float:
        """Standard deviation of the id vectors before training; 0 beside text."""
        return 0.0 if self.text_dim else 0.02

    def start_from(self, text_vectors: np.ndarray) -> None:
        """Sets the text vectors, float32 `[num_items, text_dim]`, and starts P at their principal components."""
        mean, products = text_vectors.mean(axis=0), 0.0
        for start in range(0, len(text_vectors), _BLOCK):  # in float64, all would take twice the memory of the vectors
            centred = (text_vectors[start : start + _BLOCK] - mean).astype(np.float64)
            products = products + centred.T @ centred
        _, vectors = np.linalg.eigh(products)
        components = vectors[:, ::-1][:, : self.dim]
        # eigh leaves the sign of each component open; the largest entry is made positive so that runs agree
        largest = np.abs(components).argmax(axis=0)
        components = components * np.sign(components[largest, np.arange(components.shape[1])])
        self.set_text(text_vectors)
        self.mean.assign(mean)
        self.components.assign(components.astype(np.float32))

    def set_text(self, text_vectors: np.ndarray) -> None:
        """Sets the text vectors, float32 `[num_items, text_dim]`, and nothing else."""
        self.text.assign(text_vectors)

    def set_ids(self, rows: np.ndarray, ids: np.ndarray) -> None:
        """Sets the id vectors of some items.

        Args:
            rows: int `[n]`, the items.
            ids: float32 `[n, dim]`.
        """
        changed = self.ids.numpy()
        changed[rows] = ids
        self.ids.assign(changed)

    def vectors(
        self,
        indices: tf.Tensor | None = None,
        text: tf.Tensor | None = None,
        training: bool = False,
        ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Item vectors, float32 `[num_items, dim]`, or rows at int32 `[n]` distinct indices, `[n, dim]`.

        Args:
            indices: The rows; None for all.
            text: float32 `[n, text_dim]`, text vectors to be read in the place of the table's own.
            training: Whether some items are without their id part.
            ids: float32 `[n, dim]`, the `id_rows` of the items, where the caller has them already.
        """
        parts = []
        if self.text_dim:
            parts.append(self.of_text(self.text_rows(indices) if text is None else text, training))
        if self.use_id:
            parts.append(self.id_part(indices, training, ids))
        return tf.add_n(parts)

    def text_rows(self, indices: tf.Tensor | None = None) -> tf.Tensor:
        """Text vectors of all items, float32 `[num_items, text_dim]`, or rows at int32 `[n]` indices."""
        return tf.convert_to_tensor(self.text) if indices is None else tf.gather(self.text, indices)

    def id_rows(self, indices: tf.Tensor | None = None) -> tf.Tensor:
        """Id vectors as they are held, of all items, float32 `[num_items, dim]`, or rows at int32 `[n]` indices."""
        return tf.convert_to_tensor(self.ids) if indices is None else tf.gather(self.ids, indices)

    def id_part(
        self, indices: tf.Tensor | None = None, training: bool = False, ids: tf.Tensor | None = None
    ) -> tf.Tensor:
        """What ids add: float32 `[num_items, dim]`, or rows at int32 `[m]` distinct indices; in training some are 0.

        Args:
            indices, training, ids: As for `vectors`.
        """
        ids = (self.id_rows(indices) if ids is None else ids) * self.id_rate
        if training and self.id_dropout:
            ids = tf.where(self.drop_ids(tf.ones([tf.shape(ids)[0], 1]), training=True) > 0, ids, 0.0)
        return ids

    def of_text(self, text_vectors: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Vectors of items known by their text alone: float32 `[..., text_dim]` to `[..., dim]`.

        Where the table's rows go on after the text, as with embeddings of images, the rest is taken to be its mean.
        """
        return self.of_modality(text_vectors, 0, training)

    def of_modality(self, vectors: tf.Tensor, first: int, training: bool = False) -> tf.Tensor:
        """Vectors of items known by some columns alone: float32 `[..., width]` to `[..., dim]`; the others are means.

        Args:
            vectors: float32 `[..., width]`, columns of text vectors as the table has them.
            first: The first of these columns.
            training: Whether modalities are left out.
        """
        if not self.text_dim:
            raise ValueError("Expected a model with text; this one was built with use_text=False.")
        projection = self.components
        if self.projection_rate:
            projection = projection + self.projection * self.projection_rate
        columns = slice(first, first + vectors.shape[-1])
        centred = vectors - self.mean[columns]
        if not self.modalities:
            return tf.linalg.matmul(centred, projection[columns])
        around = [[0, 0]] * (len(centred.shape) - 1) + [[columns.start, self.text_dim - columns.stop]]
        return tf.linalg.matmul(self.gates(tf.pad(centred, around), training), projection)

    def call(self, indices: tf.Tensor) -> tf.Tensor:
        return lookup(self.vectors(), indices)

    def get_config(self) -> dict[str, Any]:
        config = {"num_items": self.num_items, "text_dim": self.text_dim, "dim": self.dim, "use_id": self.use_id}
        rates = {"id_rate": self.id_rate, "projection_rate": self.projection_rate}
        dropped = {"id_dropout": self.id_dropout, "seed": self.seed}
        gated = {"modalities": self.modalities, "modality_dropout": self.modality_dropout}
        return {**super().get_config(), **config, **rates, **dropped, **gated}


def lookup(vectors: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Rows of `vectors` float32 `[items, dim]` at `indices` int32 of any shape; zeros where an index is −1."""
    found = tf.gather(vectors, tf.maximum(indices, 0))
    return found * tf.cast(indices >= 0, found.dtype)[..., None]
