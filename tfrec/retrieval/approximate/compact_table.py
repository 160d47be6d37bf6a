"""Tables of item vectors in a quarter of float32 or less, in plain TensorFlow so that TF Serving can run them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.retrieval.approximate.product_codes import product_codes
from tfrec.retrieval.approximate.variable_bytes import variable_bytes
from tfrec.retrieval.chunked_scan import TopKResult, scan_top_k

_CHUNK = 32768


class CompactTable(tf.Module):
    """Item vectors in small, in place of the vectors: they are decoded where one is read, and scored as they are.

    Args:
        shape: Items and width.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__(name="compact_table")
        self.shape = tf.TensorShape(shape)

    @abstractmethod
    def rows(self, indices: tf.Tensor) -> tf.Tensor:
        """Vectors, float32 `[..., dim]`, of items; `indices` int32 of any shape, without padding."""

    @abstractmethod
    def scorer(self, query: tf.Tensor) -> Any:
        """A function from (start, stop) to the scores of these items, float32 `[stop − start, batch]`.

        Args:
            query: float32 `[batch, dim]`.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return variable_bytes(self.variables)

    def search(
        self,
        items: Any,
        query: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        boost: Any = None,
        exact_if_quicker: bool = True,
    ) -> TopKResult:
        """The best items by the scores of the table. Arguments as in `Int8Index.search`; `items` is not read."""
        query = tf.cast(query, tf.float32)
        options = {"exclude": exclude, "allow": allow, "boost": boost, "chunk_size": _CHUNK}
        return scan_top_k(self.scorer(query), tf.shape(query)[0], int(self.shape[0]), k, **options)


class Int8Table(CompactTable):
    """A quarter of float32: integers in −127…127, and one scale a vector.

    Args:
        vectors: float32 `[items, dim]`.

    Example:
        >>> table = Int8Table(np.array([[1.0, 0.5], [0.0, -2.0]], np.float32))
        >>> table.rows(tf.constant([1])).numpy().tolist(), table.nbytes
        ([[0.0, -2.0]], 12)
    """

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors.shape)
        scales = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12) / 127
        self._codes = tf.Variable(np.round(vectors / scales).astype(np.int8), trainable=False, name="item_codes")
        self._scales = tf.Variable(scales.astype(np.float32), trainable=False, name="item_scales")

    def rows(self, indices: tf.Tensor) -> tf.Tensor:
        codes, scales = (tf.gather(table.read_value(), indices) for table in (self._codes, self._scales))
        return tf.cast(codes, tf.float32) * scales

    def scorer(self, query: tf.Tensor) -> Any:
        codes, scales = self._codes.read_value(), self._scales.read_value()

        def score(start: Any, stop: Any) -> tf.Tensor:
            return tf.matmul(tf.cast(codes[start:stop], tf.float32), query, transpose_b=True) * scales[start:stop]

        return score


class ProductTable(CompactTable):
    """About 1/30 of float32, and the code books: `product_codes`, and a factor that makes each vector a unit vector.

    Decoded vectors are shorter than the vectors, most of all those that the codes fit worst: on Amazon Scientific, unit
    length is worth half a percent of NDCG@10. A query is multiplied with the code words once; the score of an item is
    then a sum of table look-ups.

    Args:
        vectors: float32 `[items, dim]`, unit vectors or zeros.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors.shape)
        found = product_codes(vectors)
        self._codes = tf.Variable(found.codes, trainable=False, name="item_codes")
        self._words = tf.Variable(found.words, trainable=False, name="code_words")
        self._scales = tf.Variable(found.scales, trainable=False, name="code_scales")
        lengths = np.linalg.norm(found.decode(), axis=1)
        factors = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 1e-3)
        self._factors = tf.Variable(factors.astype(np.float16), trainable=False, name="item_factors")

    def rows(self, indices: tf.Tensor) -> tf.Tensor:
        codes, words = self._codes.read_value(), self._code_words()
        parts = [tf.gather(words[part], tf.cast(tf.gather(codes[part], indices), tf.int32)) for part in self._parts]
        factors = tf.cast(tf.gather(self._factors.read_value(), indices), tf.float32)
        return tf.concat(parts, axis=-1) * factors[..., None]

    def scorer(self, query: tf.Tensor) -> Any:
        codes, words, factors = self._codes.read_value(), self._code_words(), self._factors.read_value()
        queries = tf.reshape(query, [-1, *words.shape[::2]])
        tables = tf.einsum("pwd,bpd->pwb", words, queries)  # what each word adds to the score of each query

        def score(start: Any, stop: Any) -> tf.Tensor:
            total = tf.zeros([], tf.float32)
            for part in self._parts:
                total += tf.gather(tables[part], tf.cast(codes[part, start:stop], tf.int32))
            return total * tf.cast(factors[start:stop], tf.float32)[:, None]

        return score

    @property
    def _parts(self) -> range:
        return range(self._codes.shape[0])

    def _code_words(self) -> tf.Tensor:
        """float32 `[parts, words, width]`."""
        return tf.cast(self._words.read_value(), tf.float32) * self._scales.read_value()[:, None, None]


TABLES = {"int8": Int8Table, "pq": ProductTable}
"""The value of `export.item_table` to its class; "float32" has none."""
