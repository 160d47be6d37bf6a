"""The items of an export behind an approximate index, with the same answers to the same questions as `ItemIndex`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.retrieval.int8 import Int8Index
from tfrec.retrieval.ivf import IvfIndex
from tfrec.retrieval.top_k import TopKResult, exact_top_k
from tfrec.serving.catalogue import ItemIndex

Search = Int8Index | IvfIndex


class ApproximateItemIndex(ItemIndex):
    """`ItemIndex` whose scores are found by an `Int8Index` or `IvfIndex`; see there for what is exact.

    Always exact: rows without a usable history (popularity, over all items) and, with an inverted file, what
    `recommend_filtered` answers. The popularity stands beside the vectors here, as an approximate index has no use for
    it.

    Args:
        search: The index, made of `scored`.
        others: As for `ItemIndex`.
    """

    def __init__(self, scored: Any, read: Any, counts: Any, *, search: Search, **others: Any) -> None:
        super().__init__(scored, read, counts, **others)
        self.table = tf.Variable(np.asarray(scored, np.float32), trainable=False, name="items")
        self.counts = tf.Variable(np.asarray(counts, np.float32)[:, None], trainable=False, name="counts")
        self.search = search

    def scored(self, indices: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.table, indices)

    def popularity(self, indices: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.counts, indices)[..., 0]

    def find(self, query: tf.Tensor, usable: tf.Tensor, k: int, *, exclude: Any, allow: Any, boost: Any) -> TopKResult:
        found = self.search.search(self.table, query, k, exclude=exclude, allow=allow, boost=boost)
        # Only the rows without a history are scanned by popularity; most often there are none.
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
        return TopKResult(
            *(tf.tensor_scatter_nd_update(ours, rows, other) for ours, other in zip(found, popular, strict=True))
        )

    def nearest(self, query: tf.Tensor, exclude: tf.Tensor) -> TopKResult:
        return self.search.search(self.table, query, self.k, exclude=exclude)
