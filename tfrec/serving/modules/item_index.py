"""The items of a served model: their ids, texts and counts, and an exact index over their vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.retrieval.mmr import diversify
from tfrec.retrieval.top_k import exact_top_k
from tfrec.serving.modules.string_ops import index_table


@dataclass(frozen=True)
class Catalogue:
    """The items of a served model, in catalogue order.

    Args:
        item_ids: Their ids.
        texts: Their texts, as the encoder reads them.
        counts: Events of each item in training, which rank the popular items.
        attribute: For each item its values of the attribute that `recommend_filtered` filters by; None for no filter.
        allow: bool `[items]`, items that answers may hold; None for all.
    """

    item_ids: Sequence[str]
    texts: Sequence[str]
    counts: np.ndarray[Any, Any]
    attribute: Sequence[Sequence[str]] | None = None
    allow: np.ndarray[Any, Any] | None = None

    def sha256(self) -> str:
        """Hash of all ids and texts, in order."""
        digest = hashlib.sha256()
        for item_id, text in zip(self.item_ids, self.texts, strict=True):
            digest.update(f"{item_id}\0{text}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class ItemIndex(tf.Module):
    """An exact index over the vectors of all items, which are stored once for scoring and for reading histories.

    Args:
        scored: float32 `[items, dim]`, unit vectors that queries are scored against.
        read: float32 `[items, dim]`, vectors that histories are made of: the same directions, with other lengths.
        counts: `[items]`, events of each item in training.
        k: Number of items to find, at most the number of items.
        chunk_size: Items scored at a time; None as in `TopK`.
        diversity: float in [0, 1], weight of diversity in `diversify`; 0 leaves it out of the graph.
        allow: bool `[items]`, items that may be found; the others are only read in histories. None for all.
    """

    def __init__(
        self,
        scored: Any,
        read: Any,
        counts: Any,
        *,
        k: int,
        chunk_size: int | None = None,
        diversity: float = 0.0,
        allow: Any = None,
    ) -> None:
        super().__init__(name="item_index")
        scored, read = np.asarray(scored, np.float32), np.asarray(read, np.float32)
        self.k, self.chunk_size, self.diversity = k, chunk_size, diversity
        self.table = self._stored(scored)
        self.lengths = tf.Variable(np.linalg.norm(read, axis=1).astype(np.float32), trainable=False, name="lengths")
        self.counts = tf.Variable(np.asarray(counts, np.float32)[:, None], trainable=False, name="counts")
        self.allow = None if allow is None else tf.Variable(allow, trainable=False, name="allow")
        self.dim = scored.shape[1]

    def _stored(self, vectors: np.ndarray[Any, Any]) -> Any:
        """What holds the vectors, and has their shape."""
        return tf.Variable(vectors, trainable=False, name="items")

    def scored(self, indices: tf.Tensor) -> tf.Tensor:
        """Unit vectors, float32 `[..., dim]`, of items; `indices` int32 of any shape, without padding."""
        # Gathering from the value, not the variable: TensorFlow would copy the whole variable at each later read.
        return tf.gather(self.table.read_value(), indices)

    def read(self, indices: tf.Tensor) -> tf.Tensor:
        """Vectors as histories read them, float32 `[..., dim]`; 0 where an index is −1."""
        at = tf.maximum(indices, 0)
        length = tf.where(indices >= 0, tf.gather(self.lengths, at), 0.0)
        return self.scored(at) * length[..., None]

    def popularity(self, indices: tf.Tensor) -> tf.Tensor:
        """Events of items in training, float32 of the shape of `indices`, which may hold no padding."""
        return tf.gather(self.counts.read_value(), indices)[..., 0]

    def top(self, query: tf.Tensor, usable: tf.Tensor, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        """The best items of each query; popular items where a row is not usable.

        With diversity, the lists of usable rows are chosen from three times `k` items; popular items are not re-ranked.

        Args:
            query: float32 `[batch, dim]`.
            usable: bool `[batch]`, whether the history holds anything to read.
            exclude: int32 `[batch, n]`, items that may not be returned; −1 is padding.
            allow: bool `[batch, items]`, items that may be returned; None for all.
            boost: Indices int32 `[batch, m]` and values float32 `[batch, m]` that are added to their scores.
        """
        pool = min(3 * self.k, self.table.shape[0]) if self.diversity else self.k
        result = self.find(query, usable, pool, exclude=exclude, allow=allow, boost=boost)
        if not self.diversity:
            return result
        best = TopKResult(result.scores[:, : self.k], result.indices[:, : self.k], tf.minimum(result.count, self.k))
        varied = diversify(result, self.scored(tf.maximum(result.indices, 0)), self.k, self.diversity)
        rows = usable[:, None]
        return TopKResult(
            tf.where(rows, varied.scores, best.scores), tf.where(rows, varied.indices, best.indices), best.count
        )

    def similar(self, indices: tf.Tensor) -> TopKResult:
        """The `k` items with the highest cosine to each item `[batch]`, without the item itself; none for −1."""
        return self.similar_to(self.scored(tf.maximum(indices, 0)), indices >= 0, exclude=indices[:, None])

    def similar_to(self, vectors: tf.Tensor, known: tf.Tensor, exclude: tf.Tensor | None = None) -> TopKResult:
        """The `k` items with the highest dot product with each vector, float32 `[batch, dim]`.

        Args:
            vectors: Unit vectors.
            known: bool `[batch]`, false for vectors of nothing, which have no similar items.
            exclude: int32 `[batch, n]`, items that may not be returned; −1 is padding. None for none.
        """
        result = self.search(vectors, self.k, exclude=exclude, allow=self._among(None))
        return TopKResult(result.scores, result.indices, tf.where(known, result.count, 0))

    def find(self, query: tf.Tensor, usable: tf.Tensor, k: int, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        """The best `k` items of each query by score; by popularity where a row is not usable. See `top`."""
        allow = self._among(allow)
        result = self.search(query, k, exclude=exclude, allow=allow, boost=boost)

        def with_popular() -> tuple[tf.Tensor, ...]:
            rows = tf.cast(tf.where(~usable), tf.int32)
            at = rows[:, 0]
            popular = exact_top_k(
                self.counts,
                tf.ones([tf.shape(at)[0], 1]),
                k,
                chunk_size=self.chunk_size,
                exclude=None if exclude is None else tf.gather(exclude, at),
                allow=tf.gather(allow, at) if allow is not None and allow.shape.rank == 2 else allow,
            )
            pairs = zip(result, popular, strict=True)
            return tuple(tf.tensor_scatter_nd_update(ours, rows, other) for ours, other in pairs)

        # Usually every row has a history, and the scan by popularity is skipped.
        scores, indices, count = tf.cond(tf.reduce_all(usable), lambda: tuple(result), with_popular)
        return TopKResult(tf.ensure_shape(scores, [None, k]), tf.ensure_shape(indices, [None, k]), count)

    def _among(self, allow: tf.Tensor | None) -> tf.Tensor | None:
        """The allowed items of a request, bool `[batch, items]`, that may be found at all; `[items]` without any."""
        if self.allow is None:
            return allow
        ours = self.allow.read_value()
        return ours if allow is None else allow & ours

    def search(self, query: tf.Tensor, k: int, *, exclude: Any, allow: Any = None, boost: Any = None) -> TopKResult:
        """The best `k` items of each query `[batch, dim]` by score. Arguments as in `top`."""
        return exact_top_k(self.table, query, k, chunk_size=self.chunk_size, exclude=exclude, allow=allow, boost=boost)


def attribute_codes(values: Sequence[Sequence[str]] | None) -> tuple[tf.Tensor | None, Any, int]:
    """Encodes the attribute values of all items as integers.

    Args:
        values: Values of each item; None if there is no attribute.

    Returns:
        Codes int32 `[items, most values of an item]`, the table from value to code, and the number of codes. Rows are
        padded with the number of codes, which no request can ask for.
    """
    if values is None:
        return None, None, 0
    names = sorted({value for row in values for value in row if value})
    code = {name: i for i, name in enumerate(names)}
    width = max([len(row) for row in values], default=0) or 1
    codes = np.full((len(values), width), len(names), np.int32)
    for i, row in enumerate(values):
        known = [code[value] for value in row if value]
        codes[i, : len(known)] = known
    return tf.constant(codes), index_table(names), len(names)
