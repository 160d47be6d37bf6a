"""The `ItemIndex` for what a search goes through."""

from __future__ import annotations

from typing import Any

from tfrec.retrieval.approximate.compact_table import CompactTable
from tfrec.serving.modules.approximate_item_index import ApproximateItemIndex, Search
from tfrec.serving.modules.compact_item_index import CompactItemIndex
from tfrec.serving.modules.item_index import ItemIndex


def item_index(
    scored: Any, read: Any, counts: Any, search: Search | CompactTable | None, sizes: dict[str, Any]
) -> ItemIndex:
    """An index over the items of a served model.

    Args:
        scored: As for `ItemIndex`.
        read: As for `ItemIndex`.
        counts: As for `ItemIndex`.
        search: An approximate index, or a table of the vectors in small; None for the exact scan in float32.
        sizes: Other arguments of `ItemIndex`.
    """
    if search is None:
        return ItemIndex(scored, read, counts, **sizes)
    if isinstance(search, CompactTable):
        return CompactItemIndex(scored, read, counts, table=search, **sizes)
    return ApproximateItemIndex(scored, read, counts, search=search, **sizes)
