"""What a served model knows about the items."""

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
    """What the served model knows about the items, in catalogue order.

    Args:
        item_ids: The ids.
        texts: The texts, as the encoder read them.
        counts: Events of each item in training; their order is the fallback's.
        attribute: For each item its values of the attribute that `recommend_filtered` filters by, or None for none.
    """

    item_ids: Sequence[str]
    texts: Sequence[str]
    counts: np.ndarray[Any, Any]
    attribute: Sequence[Sequence[str]] | None = None

    def sha256(self) -> str:
        """Hash of ids and texts, in order."""
        digest = hashlib.sha256()
        for item_id, text in zip(self.item_ids, self.texts, strict=True):
            digest.update(f"{item_id}\0{text}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class ItemIndex(tf.Module):
    """The vectors of all items, held once for all that needs them.

    Args:
        scored: float32 `[items, dim]` of unit length, as items are scored.
        read: float32 `[items, dim]`, as a history reads them: the same directions, at other lengths.
        counts: `[items]`. Events of each item in training.
        k: int. Items to find, at most as many as there are.
        chunk_size: int. Items scored at a time; None as in `TopK`.
        diversity: float in [0, 1]. Strength of `diversify`; 0 leaves it out of the graph.
    """

    def __init__(
        self, scored: Any, read: Any, counts: Any, *, k: int, chunk_size: int | None = None, diversity: float = 0.0
    ) -> None:
        super().__init__(name="item_index")
        scored, read = np.asarray(scored, np.float32), np.asarray(read, np.float32)
        self.k, self.chunk_size, self.diversity = k, chunk_size, diversity
        self.table = tf.Variable(scored, trainable=False, name="items")
        self.lengths = tf.Variable(np.linalg.norm(read, axis=1).astype(np.float32), trainable=False, name="lengths")
        self.counts = tf.Variable(np.asarray(counts, np.float32)[:, None], trainable=False, name="counts")
        self.dim = scored.shape[1]

    def scored(self, indices: tf.Tensor) -> tf.Tensor:
        """float32 `[..., dim]` at int32 indices of any shape, which must be real."""
        # Of the value: to gather from a variable makes TensorFlow copy all of it at each later read of the whole.
        return tf.gather(self.table.read_value(), indices)

    def read(self, indices: tf.Tensor) -> tf.Tensor:
        """As `scored`, as a history reads them; 0 where an index is −1."""
        at = tf.maximum(indices, 0)
        length = tf.where(indices >= 0, tf.gather(self.lengths, at), 0.0)
        return self.scored(at) * length[..., None]

    def popularity(self, indices: tf.Tensor) -> tf.Tensor:
        """float32 of the shape of the indices, which must be real."""
        return tf.gather(self.counts.read_value(), indices)[..., 0]

    def top(self, query: tf.Tensor, usable: tf.Tensor, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        """The best items of each query `[batch, dim]`; the popular ones where a row is not usable.

        With diversity, usable rows are picked from three times `k` items; the popular ones come as they are.
        """
        pool = min(3 * self.k, self.table.shape[0]) if self.diversity else self.k
        found = self.find(query, usable, pool, exclude=exclude, allow=allow, boost=boost)
        if not self.diversity:
            return found
        best = TopKResult(found.scores[:, : self.k], found.indices[:, : self.k], tf.minimum(found.count, self.k))
        varied = diversify(found, self.scored(tf.maximum(found.indices, 0)), self.k, self.diversity)
        rows = usable[:, None]
        return TopKResult(
            tf.where(rows, varied.scores, best.scores), tf.where(rows, varied.indices, best.indices), best.count
        )

    def similar(self, indices: tf.Tensor) -> TopKResult:
        """The `k` items of the highest cosine to each of `[batch]` items, itself left out; −1 gives no item."""
        found = self.search(self.scored(tf.maximum(indices, 0)), self.k, exclude=indices[:, None])
        return TopKResult(found.scores, found.indices, tf.where(indices >= 0, found.count, 0))

    def find(self, query: tf.Tensor, usable: tf.Tensor, k: int, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        """The best `k` of each query by score; by popularity where a row is not usable."""
        found = self.search(query, k, exclude=exclude, allow=allow, boost=boost)

        def with_popular() -> tuple[tf.Tensor, ...]:
            rows = tf.cast(tf.where(~usable), tf.int32)
            at = rows[:, 0]
            popular = exact_top_k(
                self.counts,
                tf.ones([tf.shape(at)[0], 1]),
                k,
                chunk_size=self.chunk_size,
                exclude=None if exclude is None else tf.gather(exclude, at),
                allow=None if allow is None else tf.gather(allow, at),
            )
            pairs = zip(found, popular, strict=True)
            return tuple(tf.tensor_scatter_nd_update(ours, rows, other) for ours, other in pairs)

        # Most often every row has a history, and nothing is scanned by popularity.
        scores, indices, count = tf.cond(tf.reduce_all(usable), lambda: tuple(found), with_popular)
        return TopKResult(tf.ensure_shape(scores, [None, k]), tf.ensure_shape(indices, [None, k]), count)

    def search(self, query: tf.Tensor, k: int, *, exclude: Any, allow: Any = None, boost: Any = None) -> TopKResult:
        """The best `k` of each query `[batch, dim]` by score."""
        return exact_top_k(self.table, query, k, chunk_size=self.chunk_size, exclude=exclude, allow=allow, boost=boost)


def attribute_codes(values: Sequence[Sequence[str]] | None) -> tuple[tf.Tensor | None, Any, int]:
    """Each item's values as codes int32 `[N, most values]`, the table from value to code, and how many codes there are.

    The code after the last stands for "no value", which no request can ask for.
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
