"""An item table whose rows are no weights: they are read, by number, from wherever they are."""

from __future__ import annotations

import tempfile
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrec.models.shared.item_table import ItemTable

_BLOCK = 2**15
"""Rows that are read, computed or written together: 50 MB of text vectors."""


class RowSource(Protocol):
    """Rows of a table: an array, a memory-mapped file, or `ShardedRows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and their width."""

    def __getitem__(self, rows: Any) -> np.ndarray:
        """float32 `rows.shape + [width]`, rows at int numbers of any shape."""

    def __setitem__(self, rows: Any, values: np.ndarray) -> None:
        """Sets rows at int `[n]` distinct numbers."""


class HostedItemTable(ItemTable):
    """An `ItemTable` for catalogues that one process should not hold: text and id vectors are read where they are.

    They are neither variables nor in the optimizer; whoever trains updates the rows of ids. The weights are written in
    the layout of an `ItemTable`, block by block, and when they are read, the rows are memory-mapped in the file.

    Arguments as for `ItemTable`. The rows must be there (`attach`, `set_text` or `load_weights`) before they are used.
    """

    id_source: RowSource
    text_source: RowSource

    def add_text(self) -> None:
        """Nothing: the text vectors are no weights."""

    def add_ids(self) -> None:
        """Nothing: the id vectors are no weights."""

    def attach(self, ids: RowSource) -> None:
        """Sets where the id vectors are, `[num_items, dim]`."""
        self.id_source = ids

    def set_text(self, text_vectors: RowSource) -> None:
        """Sets where the text vectors are, `[num_items, text_dim]`."""
        self.text_source = text_vectors

    def set_ids(self, rows: np.ndarray, ids: np.ndarray) -> None:
        """As for `ItemTable`."""
        for start in range(0, len(rows), _BLOCK):
            self.id_source[rows[start : start + _BLOCK]] = ids[start : start + _BLOCK]

    def text_rows(self, indices: tf.Tensor | None = None) -> tf.Tensor:
        """Text vectors, float32 `indices.shape + [text_dim]`; None for all."""
        indices = tf.range(self.num_items) if indices is None else indices
        return _read(lambda rows: self.text_source[rows], indices, self.text_dim)

    def id_rows(self, indices: tf.Tensor | None = None) -> tf.Tensor:
        """Id vectors, float32 `indices.shape + [dim]`; None for all."""
        indices = tf.range(self.num_items) if indices is None else indices
        return _read(lambda rows: self.id_source[rows], indices, self.dim)

    def vectors(
        self,
        indices: tf.Tensor | None = None,
        text: tf.Tensor | None = None,
        training: bool = False,
        ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """As for `ItemTable`, at indices of any shape. The vectors of all items are in a file, mapped into memory."""
        if indices is not None:
            return super().vectors(indices, text, training, ids)
        with tempfile.NamedTemporaryFile() as file:  # its name goes, its pages stay as long as the tensor
            for start in range(0, self.num_items, _BLOCK):
                rows = tf.range(start, min(start + _BLOCK, self.num_items))
                file.write(super().vectors(rows).numpy().tobytes())
            file.flush()
            shape = [self.num_items, self.dim]
            return tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=shape, memory_region_name=file.name)

    def call(self, indices: tf.Tensor) -> tf.Tensor:
        found = self.vectors(tf.maximum(indices, 0))
        return found * tf.cast(indices >= 0, found.dtype)[..., None]

    @property
    def hosted_bytes(self) -> int:
        """Bytes that the rows take in a weights file."""
        return 4 * self.num_items * ((self.dim if self.use_id else 0) + self.text_dim)

    def save_own_variables(self, store: Any) -> None:
        for place, name in enumerate(self._layout()):
            if name in _HOSTED:
                source: RowSource = getattr(self, _HOSTED[name])
                written = store.create_dataset(str(place), source.shape, np.float32)
                for start in range(0, self.num_items, _BLOCK):
                    rows = np.arange(start, min(start + _BLOCK, self.num_items))
                    written[rows[0] : rows[-1] + 1] = source[rows]
            else:
                store[str(place)] = getattr(self, name).numpy()

    def load_own_variables(self, store: Any) -> None:
        for place, name in enumerate(self._layout()):
            stored = store[str(place)]
            if name in _HOSTED:
                where = {"offset": stored.id.get_offset(), "shape": stored.shape}
                setattr(self, _HOSTED[name], np.memmap(stored.file.filename, stored.dtype, "r", **where))
            else:
                getattr(self, name).assign(stored)

    def _layout(self) -> list[str]:
        """The weights of an `ItemTable` in the order of its file: those that are trained first."""
        names = ["projection"] if self.text_dim and self.projection_rate else []
        names += ["ids"] if self.use_id else []
        return names + (["text", "mean", "components"] if self.text_dim else [])


HostedItemTable.__name__ = ItemTable.__name__  # by which Keras finds the layer in a weights file

_HOSTED = {"ids": "id_source", "text": "text_source"}


def _read(source: Any, indices: tf.Tensor, width: int) -> tf.Tensor:
    """The rows of a table, float32 `indices.shape + [width]`, in eager code and in graphs."""
    found = tf.numpy_function(lambda rows: np.ascontiguousarray(source(rows), np.float32), [indices], tf.float32)
    found.set_shape([*indices.shape, width])
    return found
