"""An `ItemIndex` whose vectors are stored in small."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.retrieval.approximate.compact_table import CompactTable
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.serving.modules.item_index import ItemIndex


class CompactItemIndex(ItemIndex):
    """`ItemIndex` over a `CompactTable`: histories, candidates and lists all read the table's vectors.

    Popular items for rows without a usable history are exact.

    Args:
        scored: As for `ItemIndex`; only the shape is used.
        read: As for `ItemIndex`.
        counts: As for `ItemIndex`.
        table: The vectors `scored`, in small.
        **others: Other arguments of `ItemIndex`.
    """

    def __init__(self, scored: Any, read: Any, counts: Any, *, table: CompactTable, **others: Any) -> None:
        self._compact = table
        super().__init__(scored, read, counts, **others)

    def _stored(self, vectors: Any) -> CompactTable:
        return self._compact

    def scored(self, indices: tf.Tensor) -> tf.Tensor:
        return self._compact.rows(indices)

    def search(self, query: tf.Tensor, k: int, *, exclude: Any, allow: Any = None, boost: Any = None) -> TopKResult:
        return self._compact.search(None, query, k, exclude=exclude, allow=allow, boost=boost)
