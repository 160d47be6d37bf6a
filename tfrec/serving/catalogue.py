"""What a served model knows about the items."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.retrieval.diversity import diversify
from tfrec.retrieval.top_k import TopKResult, exact_top_k
from tfrec.serving.history import index_table


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

    A last column holds the popularity: the query [q, 0] scores by the model, [0, 1] by popularity, in one scan.

    Args:
        scored: float32 `[items, dim]` of unit length, as items are scored.
        read: float32 `[items, dim]`, as a history reads them: the same directions, at other lengths.
        counts: `[items]`. Events of each item in training.
        k: int. Items to find, at most as many as there are.
        chunk_size: int. Items scored at a time.
        diversity: float in [0, 1]. Strength of `diversify`; 0 leaves it out of the graph.
    """

    def __init__(
        self, scored: Any, read: Any, counts: Any, *, k: int, chunk_size: int = 65536, diversity: float = 0.0
    ) -> None:
        super().__init__(name="item_index")
        scored, read = np.asarray(scored, np.float32), np.asarray(read, np.float32)
        self.k, self.chunk_size, self.diversity = k, chunk_size, diversity
        self.table = tf.Variable(np.c_[scored, np.asarray(counts, np.float32)], trainable=False, name="items")
        self.lengths = tf.Variable(np.linalg.norm(read, axis=1).astype(np.float32), trainable=False, name="lengths")
        self.dim = scored.shape[1]

    def scored(self, indices: tf.Tensor) -> tf.Tensor:
        """float32 `[..., dim]` at int32 indices of any shape, which must be real."""
        return tf.gather(self.table, indices)[..., :-1]

    def read(self, indices: tf.Tensor) -> tf.Tensor:
        """As `scored`, as a history reads them; 0 where an index is −1."""
        at = tf.maximum(indices, 0)
        length = tf.where(indices >= 0, tf.gather(self.lengths, at), 0.0)
        return self.scored(at) * length[..., None]

    def popularity(self, indices: tf.Tensor) -> tf.Tensor:
        """float32 of the shape of the indices, which must be real."""
        return tf.gather(self.table, indices)[..., -1]

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
        found = self.nearest(self.scored(tf.maximum(indices, 0)), indices[:, None])
        return TopKResult(found.scores, found.indices, tf.where(indices >= 0, found.count, 0))

    def find(self, query: tf.Tensor, usable: tf.Tensor, k: int, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        """The best `k` of each query by score; by popularity where a row is not usable."""
        query = tf.concat([query, tf.cast(~usable, tf.float32)[:, None]], axis=1)
        return exact_top_k(self.table, query, k, chunk_size=self.chunk_size, exclude=exclude, allow=allow, boost=boost)

    def nearest(self, query: tf.Tensor, exclude: tf.Tensor) -> TopKResult:
        """The best items of each query `[batch, dim]`, without those at the indices `[batch, n]`."""
        query = tf.pad(query, [[0, 0], [0, 1]])
        return exact_top_k(self.table, query, self.k, chunk_size=self.chunk_size, exclude=exclude)


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
