"""The items of an export behind an approximate index, with the same answers to the same questions as `ItemIndex`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.retrieval.approximate.int8_index import Int8Index
from tfrec.retrieval.approximate.ivf_index import IvfIndex
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.serving.modules.item_index import ItemIndex

Search = Int8Index | IvfIndex


class ApproximateItemIndex(ItemIndex):
    """`ItemIndex` whose scores are found by an `Int8Index` or `IvfIndex`; see there for what is exact.

    Always exact: rows without a usable history (popularity, over all items) and, with an inverted file, what
    `recommend_filtered` answers.

    Args:
        search: The index, made of `scored`.
        others: As for `ItemIndex`.
    """

    def __init__(self, scored: Any, read: Any, counts: Any, *, search: Search, **others: Any) -> None:
        super().__init__(scored, read, counts, **others)
        self.near = search

    def search(self, query: tf.Tensor, k: int, *, exclude: Any, allow: Any = None, boost: Any = None) -> TopKResult:
        return self.near.search(self.table.read_value(), query, k, exclude=exclude, allow=allow, boost=boost)
