"""An `ItemIndex` that searches through an approximate index."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.retrieval.approximate.int8_index import Int8Index
from tfrec.retrieval.approximate.ivf_index import IvfIndex
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.serving.modules.item_index import ItemIndex

Search = Int8Index | IvfIndex


class ApproximateItemIndex(ItemIndex):
    """`ItemIndex` that finds items with an `Int8Index` or `IvfIndex`, whose docstrings say what is exact.

    Two things are always exact: popular items for rows without a usable history, and, with an inverted file, the
    answers of `recommend_filtered`.

    Args:
        scored: As for `ItemIndex`.
        read: As for `ItemIndex`.
        counts: As for `ItemIndex`.
        search: The index over `scored`.
        **others: Other arguments of `ItemIndex`.
    """

    def __init__(self, scored: Any, read: Any, counts: Any, *, search: Search, **others: Any) -> None:
        super().__init__(scored, read, counts, **others)
        self.near = search

    def search(self, query: tf.Tensor, k: int, *, exclude: Any, allow: Any = None, boost: Any = None) -> TopKResult:
        return self.near.search(self.table.read_value(), query, k, exclude=exclude, allow=allow, boost=boost)
