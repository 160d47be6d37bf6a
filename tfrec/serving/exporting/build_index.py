"""Builds the index that an export asks for, and measures what it finds against the exact scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import ExportConfig
from tfrec.errors import InvalidInput
from tfrec.retrieval.approximate.int8_index import Int8Index
from tfrec.retrieval.approximate.ivf_index import IvfIndex
from tfrec.retrieval.approximate.recall import index_recall
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.retrieval.top_k import exact_top_k

if TYPE_CHECKING:
    from tfrec.data.histories import Histories
    from tfrec.serving.modules.approximate_item_index import Search

QUERIES: Final = 1000
RECALL_K: Final = 10
_BATCH: Final = 50


@dataclass(frozen=True)
class IndexReport:
    """What an index finds of the exact result, and what it weighs.

    Args:
        kind: "int8" or "ivf".
        recall_at_10: Share of the exact top 10 that it finds, the mean over the queries.
        recall_at_k: The same for the K items that are served.
        k: K.
        queries: How many queries were measured, and `source` where they come from.
        lists, probes: Of an inverted file; None for int8.
        index_bytes: What the index holds beside the vectors.
        vector_bytes: The vectors.
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
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Two lines for people."""
        lists = f", reads {self.probes} of {self.lists} lists" if self.lists else ""
        memory = 1 + self.index_bytes / max(self.vector_bytes, 1)
        return (
            f"Index {self.kind}{lists}; with its vectors {memory:.2f} times the vectors.\n"
            f"Against the exact scan: recall@{RECALL_K} {self.recall_at_10:.4f}, recall@{self.k} "
            f"{self.recall_at_k:.4f} ({self.queries} queries: {self.source})."
        )


class Measured:
    """Queries of a model and their exact results, to hold an index against.

    Half of the queries may choose the knobs of an index, the other half measures it.

    Args:
        model: A NextItemModel.
        histories: Whose histories to ask for, `QUERIES` at most, chosen by a seed; None asks for one item each, drawn
            from the catalogue.
        exclude_seen: Whether the items of a history are left out.
        k: int. Items served.
    """

    def __init__(self, model: Any, histories: Histories | None, *, exclude_seen: bool, k: int) -> None:
        self.items, self.k = tf.constant(model.item_vectors()), k
        rng = np.random.default_rng(0)
        if histories is not None and (real := np.flatnonzero(histories.lengths > 0)).size:
            self.source = "histories of the data"
            rows = np.sort(rng.choice(real, min(len(real), QUERIES), replace=False))
            inputs = _inputs(histories, rng.permutation(rows), model.memory_history)
        else:
            self.source = "one item each"
            drawn = rng.choice(model.num_items, min(model.num_items, QUERIES), replace=False)
            seen = drawn[:, None].astype(np.int32)
            inputs = {
                schema.HISTORY_ITEMS: seen,
                schema.HISTORY_EVENTS: np.zeros_like(seen),
                schema.HISTORY_GAPS: np.zeros(seen.shape, np.float32),
            }
        self._questions = [
            self._question(model, {name: value[at : at + _BATCH] for name, value in inputs.items()}, exclude_seen)
            for at in range(0, len(inputs[schema.HISTORY_ITEMS]), _BATCH)
        ]
        self._exact = [self._ask(None, question) for question in self._questions]

    def recall(self, index: Search, k: int, half: int | None = None) -> float:
        """Share of the exact top `k` that the index finds; of all queries, or of batches of one half (0 or 1)."""
        numbers = self._batches(half)
        ask = tf.function(lambda question: self._ask(index, question).indices, reduce_retracing=True)
        found = np.concatenate([ask(self._questions[n]).numpy() for n in numbers])
        exact = np.concatenate([self._exact[n].indices.numpy() for n in numbers])
        return index_recall(found, exact, min(k, self.k))

    def count(self, half: int | None = None) -> int:
        """How many queries there are, in all or in one half."""
        return sum(len(self._questions[n]["query"]) for n in self._batches(half))

    def _batches(self, half: int | None) -> list[int]:
        every = range(len(self._questions))
        return [n for n in every if half is None or n % 2 == half or len(every) == 1]

    def _question(self, model: Any, inputs: dict[str, np.ndarray], exclude_seen: bool) -> dict[str, tf.Tensor]:
        items = tf.constant(inputs[schema.HISTORY_ITEMS])
        indices, values = model.adjustment(items, tf.constant(inputs[schema.HISTORY_EVENTS]))
        exclude = items if exclude_seen else tf.fill(tf.shape(items), -1)
        return {"query": model.query(inputs), "indices": indices, "values": values, "exclude": exclude}

    def _ask(self, index: Search | None, question: dict[str, tf.Tensor]) -> TopKResult:
        options = {"exclude": question["exclude"], "boost": (question["indices"], question["values"])}
        if index is None:
            return exact_top_k(self.items, question["query"], self.k, **options)
        return index.search(self.items, question["query"], self.k, exact_if_quicker=False, **options)


def build_index(
    model: Any, config: ExportConfig, *, exclude_seen: bool, histories: Histories | None = None
) -> tuple[Search, IndexReport] | tuple[None, None]:
    """The index of `config.index` over the model's items, and what it finds; (None, None) for "exact".

    Where `config.index_probes` is None, an inverted file reads as few lists as hold twice the items served, doubled
    until one half of the queries reaches `config.index_recall`; the report is about the other half, and about the index
    alone, without the exact scan that steps in where it is quicker.

    Args:
        model: A NextItemModel.
        config: The knobs that start with `index`, and `max_k`.
        exclude_seen: Whether served answers leave out items of the history.
        histories: Whose queries to measure with; None for one item each.

    Raises:
        InvalidInput: recall@10 is below `config.index_recall`.
    """
    if config.index == "exact":
        return None, None
    measured = Measured(model, histories, exclude_seen=exclude_seen, k=min(config.max_k, model.num_items))
    vectors = measured.items.numpy()
    index: Search = Int8Index(vectors)
    if config.index == "ivf":
        index = IvfIndex(vectors, lists=config.index_lists, probes=config.index_probes or 1)
        if not config.index_probes:  # as few as hold twice the items that are served
            index.probes = min(-(-2 * measured.k * index.num_lists // len(vectors)), index.num_lists)
        while not config.index_probes and index.probes < index.num_lists:
            if measured.recall(index, RECALL_K, half=0) >= config.index_recall:
                break
            index.probes = min(2 * index.probes, index.num_lists)
    ivf = index if isinstance(index, IvfIndex) else None
    report = IndexReport(
        kind=config.index,
        recall_at_10=measured.recall(index, RECALL_K, half=1),
        recall_at_k=measured.recall(index, measured.k, half=1),
        k=measured.k,
        queries=measured.count(half=1),
        source=measured.source,
        lists=ivf.num_lists if ivf else None,
        probes=ivf.probes if ivf else None,
        index_bytes=index.nbytes,
        vector_bytes=vectors.nbytes,
    )
    if report.recall_at_10 < config.index_recall:
        raise InvalidInput(
            f"Expected a recall@{RECALL_K} of at least {config.index_recall} (export.index_recall); received:\n{report}"
            "\nRead more lists (export.index_probes), lower the floor, or use export.index=exact."
        )
    return index, report


def _inputs(histories: Histories, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
    from tfrec.data.padding import history_batch

    inputs = history_batch(histories, rows, length)
    return {**inputs, schema.HISTORY_GAPS: np.zeros_like(inputs[schema.HISTORY_GAPS])}
