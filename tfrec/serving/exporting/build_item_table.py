"""Stores the item vectors of an export in small, and measures what that changes in the lists."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrec.config import ExportConfig
from tfrec.errors import InvalidInput
from tfrec.progress import say
from tfrec.retrieval.approximate.compact_table import TABLES, CompactTable
from tfrec.serving.exporting.build_index import RECALL_K, RecallBenchmark

if TYPE_CHECKING:
    from tfrec.data.histories import Histories


@dataclass(frozen=True)
class TableReport:
    """Size of a table, and what it changes.

    Args:
        kind: "int8" or "pq".
        table_bytes: Bytes of the table, code books included.
        float32_bytes: Bytes of the vectors in float32.
        recall_at_10: Share of the exact top 10 that lists over the table have, averaged over the queries.
        queries: Number of queries.
        source: Where the queries come from.
    """

    kind: str
    table_bytes: int
    float32_bytes: int
    recall_at_10: float
    queries: int
    source: str

    def as_dict(self) -> dict[str, Any]:
        """The report as a dict that can be written as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """The report as a line of text."""
        return (
            f"Item vectors as {self.kind}: {self.float32_bytes / self.table_bytes:.1f} times smaller than float32; "
            f"recall@{RECALL_K} against exact lists {self.recall_at_10:.3f} ({self.queries} queries: {self.source})."
        )


def build_item_table(
    model: Any,
    config: ExportConfig,
    *,
    exclude_seen: bool,
    histories: Histories | None = None,
    allow: np.ndarray | None = None,
) -> tuple[CompactTable, TableReport] | tuple[None, None]:
    """The table that `config.item_table` names over the item vectors of a model, and its report, which is said.

    Args:
        model: A NextItemModel.
        config: Options `item_table`, `index` and `max_k`.
        exclude_seen: Whether served lists exclude the items of the history.
        histories: Histories to measure with; None for histories of one item.
        allow: bool `[items]`, items that are served; None for all.

    Returns:
        The table and its report; (None, None) for "float32".

    Raises:
        InvalidInput: There is an index, which needs the vectors in float32.
    """
    if config.item_table == "float32":
        return None, None
    if config.index != "exact":
        raise InvalidInput(
            f"export.index={config.index} needs the item vectors in float32, and export.item_table is "
            f"{config.item_table}. Set one of them to its default (exact, float32)."
        )
    vectors = model.item_vectors().numpy()
    table = TABLES[config.item_table](vectors)
    benchmark = RecallBenchmark(model, histories, exclude_seen=exclude_seen, k=RECALL_K, allow=allow)
    report = TableReport(
        config.item_table,
        table.nbytes,
        vectors.nbytes,
        benchmark.recall(table, min(RECALL_K, len(vectors))),
        benchmark.count(),
        benchmark.source,
    )
    say(str(report))
    return table, report
