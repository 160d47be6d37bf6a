"""Builds the approximate index of an export and measures its recall against the exact scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import ExportConfig
from tfrec.errors import InvalidInput
from tfrec.retrieval.approximate.compact_table import CompactTable
from tfrec.retrieval.approximate.int8_index import Int8Index
from tfrec.retrieval.approximate.ivf_index import IvfIndex
from tfrec.retrieval.approximate.recall import index_recall
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.retrieval.top_k import exact_top_k

if TYPE_CHECKING:
    from tfrec.data.histories import Histories
    from tfrec.serving.modules.approximate_item_index import Search

QUERIES: Final = 1000
"""Most queries. Half of them measure: at a recall of 0.98 its standard error is then at most 0.006."""

RECALL_K: Final = 10
_BATCH: Final = 50


@dataclass(frozen=True)
class IndexReport:
    """Recall and size of an index.

    Args:
        kind: "int8" or "ivf".
        recall_at_10: Share of the exact top 10 that the index finds, averaged over the queries.
        recall_at_k: The same for the top K.
        k: Number K of items served.
        queries: Number of queries benchmark.
        source: Where the queries come from.
        lists: Lists of an inverted file; None for int8.
        probes: Lists searched for a query; None for int8.
        index_bytes: Bytes of the index, without the vectors.
        vector_bytes: Bytes of the vectors.
    """

    kind: str
    recall_at_10: float
    recall_at_k: float
    k: int
    queries: int
    source: str
    lists: int | None
    probes: int | None
    index_bytes: int
    vector_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The report as a dict that can be written as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """The report as two lines of text."""
        lists = f", searches {self.probes} of {self.lists} lists" if self.lists else ""
        memory = 1 + self.index_bytes / max(self.vector_bytes, 1)
        return (
            f"Index {self.kind}{lists}; index and vectors take {memory:.2f} times the memory of the vectors.\n"
            f"Against the exact scan: recall@{RECALL_K} {self.recall_at_10:.4f}, recall@{self.k} "
            f"{self.recall_at_k:.4f} ({self.queries} queries: {self.source})."
        )


class RecallBenchmark:
    """Queries with their exact results, to measure the recall of an index.

    One half of the queries may choose the options of an index, the other half measures it.

    Args:
        model: A NextItemModel.
        histories: Histories to query with, of which at most `QUERIES` are used (a seeded sample). None: histories of
            one item, drawn from the catalogue.
        exclude_seen: Whether the items of a history are excluded.
        k: Number of items served.
        allow: bool `[items]`, items that are served; None for all.
    """

    def __init__(
        self,
        model: Any,
        histories: Histories | None,
        *,
        exclude_seen: bool,
        k: int,
        allow: np.ndarray | None = None,
    ) -> None:
        self.items, self.k, self.allow = tf.constant(model.item_vectors()), k, allow
        rng = np.random.default_rng(0)
        if histories is not None and (real := np.flatnonzero(histories.lengths > 0)).size:
            self.source = "histories of the data"
            rows = np.sort(rng.choice(real, min(len(real), QUERIES), replace=False))
            inputs = _model_inputs(histories, rng.permutation(rows), model.memory_history)
        else:
            self.source = "one item each"
            drawn = rng.choice(model.num_items, min(model.num_items, QUERIES), replace=False)
            seen = drawn[:, None].astype(np.int32)
            inputs = {
                schema.HISTORY_ITEMS: seen,
                schema.HISTORY_EVENTS: np.zeros_like(seen),
                schema.HISTORY_GAPS: np.zeros(seen.shape, np.float32),
            }
        self._batches = [
            self._batch(model, {name: value[at : at + _BATCH] for name, value in inputs.items()}, exclude_seen)
            for at in range(0, len(inputs[schema.HISTORY_ITEMS]), _BATCH)
        ]
        self._exact = [self._search(None, batch) for batch in self._batches]

    def recall(self, index: Search | CompactTable, k: int, half: int | None = None) -> float:
        """Share of the exact top `k` that the index finds.

        Args:
            index: The index.
            k: Length of the lists that are compared.
            half: 0 or 1 for one half of the queries; None for all.
        """
        numbers = self._numbers(half)
        search = tf.function(lambda batch: self._search(index, batch).indices, reduce_retracing=True)
        indices = np.concatenate([search(self._batches[n]).numpy() for n in numbers])
        exact = np.concatenate([self._exact[n].indices.numpy() for n in numbers])
        return index_recall(indices, exact, min(k, self.k))

    def count(self, half: int | None = None) -> int:
        """Number of queries, in all or in one half."""
        return sum(len(self._batches[n]["query"]) for n in self._numbers(half))

    def _numbers(self, half: int | None) -> list[int]:
        """Numbers of the batches of one half, or of all."""
        every = range(len(self._batches))
        return [n for n in every if half is None or n % 2 == half or len(every) == 1]

    def _batch(self, model: Any, inputs: dict[str, np.ndarray], exclude_seen: bool) -> dict[str, tf.Tensor]:
        items = tf.constant(inputs[schema.HISTORY_ITEMS])
        indices, values = model.adjustment(items, tf.constant(inputs[schema.HISTORY_EVENTS]))
        exclude = items if exclude_seen else tf.fill(tf.shape(items), -1)
        return {"query": model.query(inputs), "indices": indices, "values": values, "exclude": exclude}

    def _search(self, index: Search | CompactTable | None, batch: dict[str, tf.Tensor]) -> TopKResult:
        options = {"exclude": batch["exclude"], "boost": (batch["indices"], batch["values"]), "allow": self.allow}
        if index is None:
            return exact_top_k(self.items, batch["query"], self.k, **options)
        return index.search(self.items, batch["query"], self.k, exact_if_quicker=False, **options)


def build_index(
    model: Any,
    config: ExportConfig,
    *,
    exclude_seen: bool,
    histories: Histories | None = None,
    allow: np.ndarray | None = None,
) -> tuple[Search, IndexReport] | tuple[None, None]:
    """Builds the index that `config.index` names over the items of a model, and measures its recall.

    If `config.index_probes` is None, an inverted file starts with as few lists as hold twice the items served, and
    doubles them until one half of the queries reaches `config.index_recall`. The report measures the other half, and
    the index alone, without the exact scan that replaces it where that is faster.

    Args:
        model: A NextItemModel.
        config: Options `index`, `index_lists`, `index_probes`, `index_recall` and `max_k`.
        exclude_seen: Whether served lists exclude the items of the history.
        histories: Histories to measure with; None for histories of one item.
        allow: bool `[items]`, items that are served; None for all.

    Returns:
        The index and its report; (None, None) for "exact".

    Raises:
        InvalidInput: recall@10 is below `config.index_recall`.
    """
    if config.index == "exact":
        return None, None
    served = model.num_items if allow is None else int(allow.sum())
    benchmark = RecallBenchmark(model, histories, exclude_seen=exclude_seen, k=min(config.max_k, served), allow=allow)
    vectors = benchmark.items.numpy()
    index: Search = Int8Index(vectors)
    if config.index == "ivf":
        index = IvfIndex(vectors, lists=config.index_lists, probes=config.index_probes or 1)
        if not config.index_probes:  # as few lists as hold twice the items served
            index.probes = min(-(-2 * benchmark.k * index.num_lists // len(vectors)), index.num_lists)
        while not config.index_probes and index.probes < index.num_lists:
            if benchmark.recall(index, RECALL_K, half=0) >= config.index_recall:
                break
            index.probes = min(2 * index.probes, index.num_lists)
    ivf = index if isinstance(index, IvfIndex) else None
    report = IndexReport(
        kind=config.index,
        recall_at_10=benchmark.recall(index, RECALL_K, half=1),
        recall_at_k=benchmark.recall(index, benchmark.k, half=1),
        k=benchmark.k,
        queries=benchmark.count(half=1),
        source=benchmark.source,
        lists=ivf.num_lists if ivf else None,
        probes=ivf.probes if ivf else None,
        index_bytes=index.nbytes,
        vector_bytes=vectors.nbytes,
    )
    if report.recall_at_10 < config.index_recall:
        raise InvalidInput(
            f"Expected a recall@{RECALL_K} of at least {config.index_recall} (export.index_recall), received:\n{report}"
            "\nSearch more lists (export.index_probes), lower export.index_recall, or use export.index=exact."
        )
    return index, report


def _model_inputs(histories: Histories, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
    from tfrec.data.padding import history_batch

    inputs = history_batch(histories, rows, length)
    return {**inputs, schema.HISTORY_GAPS: np.zeros_like(inputs[schema.HISTORY_GAPS])}
