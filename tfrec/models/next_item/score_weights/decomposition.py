"""The scores of validation queries, split into their parts, so that NDCG@10 under other score weights is quick."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Queries, row_numbers
from tfrec.data.padding import history_batch
from tfrec.evaluation.ranking_metrics import ranking_metrics, ranks_of
from tfrec.evaluation.rankings import without_seen
from tfrec.models.next_item.history_ops import newest_item
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import NeighbourMemory
from tfrec.models.next_item.repeat_bias import occurrences
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.training.temporary_weights import restored

QUERIES_PER_BLOCK = 256
"""Queries that are encoded or ranked together, to bound memory: only the parts of their scores are kept for all."""
CELLS_PER_SLICE = 16_000
"""Cells that are scored together. Their arrays are small enough for the allocator to reuse, and need no new pages."""
CACHE_SIZE = 128_000_000
"""Numbers that are cached of the memory's scores under the decays and discounts tried before: 512 MB."""


class ScoreParts:
    """The parts of the scores of some queries, and the NDCG@10 of each query under given score weights.

    Score weights can only change the order among the items to which a part other than the network adds something, a few
    hundred of the catalogue, and between these and the rest. The rest keeps the network's order, so the number of its
    items above a target is found by a binary search in the sorted network scores.

    Args:
        model: The fitted model.
        queries: Validation queries.
        rows: int `[n]`, rows of `queries` to use.
        exclude_seen: bool. Whether seen items are left out of the ranking.

    Attributes:
        names: Names of the score weights that the model has, as in `ScoreWeights`.
    """

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        starts = range(0, len(rows), QUERIES_PER_BLOCK)
        self.blocks = [
            _Block(model, queries, rows[start : start + QUERIES_PER_BLOCK], exclude_seen) for start in starts
        ]
        self.memory = model.memory
        self.names = ["cosine"]
        if model.memory is not None:
            self.names += ["decay", *(["discount"] if model.memory.k else []), *model.memory.weight_names]
        self.names += ["newest", "others", "slope"] if model.repeats is not None else []
        self.names += ["popularity"] if model.popularity is not None else []
        self.decay_and_discount = (np.nan, np.nan)
        self.cache: dict[tuple[float, float], list[dict[str, np.ndarray]]] = {}

    def ndcg(self, weights: ScoreWeights) -> np.ndarray:
        """NDCG@10 of each query under the score weights, float64 `[n]`, in the order of `rows`."""
        if self.memory is not None and (weights.decay, weights.discount) != self.decay_and_discount:
            self._update_memory_parts(self.memory, weights)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy releases the interpreter lock
            return np.concatenate(list(pool.map(lambda block: block.ndcg(weights), self.blocks)))

    def _update_memory_parts(self, memory: NeighbourMemory, weights: ScoreWeights) -> None:
        """Gives the blocks the memory's scores under a decay and a discount; the first few results are cached."""
        self.decay_and_discount = (weights.decay, weights.discount)
        parts = self.cache.get(self.decay_and_discount) or self._compute_memory_parts(memory, weights)
        size = sum(part.size for block_parts in parts for part in block_parts.values())
        if len(self.cache) < CACHE_SIZE // max(size, 1):
            self.cache[self.decay_and_discount] = parts
        for block, block_parts in zip(self.blocks, parts, strict=True):
            block.memory_parts = block_parts

    def _compute_memory_parts(self, memory: NeighbourMemory, weights: ScoreWeights) -> list[dict[str, np.ndarray]]:
        with restored(memory.score_weight_variables):
            memory.assign(decay=weights.decay, discount=weights.discount if memory.k else None)
            return [block.compute_memory_parts(memory) for block in self.blocks]


class _Block:
    """The parts of the scores of a few queries.

    They are kept for the *cells*: the (query, item) pairs to which a part other than the network adds something, and
    the targets; query by query, and by item within a query. `memory_parts` are the memory's unweighted scores under one
    decay and discount, float32 `[cells]` each.
    """

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        inputs = history_batch(queries.history, rows, model.memory_history)
        self.items = tf.constant(inputs[schema.HISTORY_ITEMS])
        cosine = model.cosines({name: tf.constant(value) for name, value in inputs.items()}).numpy()
        if exclude_seen:
            cosine = without_seen(cosine, queries.history, rows)
        flat, self.target_offsets = queries.targets_of(rows)
        targets = queries.target_items[flat]
        self.target_rows = row_numbers(np.diff(self.target_offsets))

        last, count = occurrences(self.items)
        seen_rows, column = tf.where(last).numpy().T
        seen = self.items.numpy()[seen_rows, column]
        self.log_count = np.log(tf.boolean_mask(count, last).numpy())
        self.kind_bias = np.zeros(len(seen), np.float32)
        if model.repeats is not None:
            kinds = tf.constant(inputs[schema.HISTORY_EVENTS][seen_rows, column])
            self.kind_bias = model.repeats.kind_bias(kinds, model.repeats.coefficients).numpy()
        self.is_newest = seen == newest_item(self.items).numpy()[seen_rows]

        popularity = np.zeros(model.num_items, np.float32)
        if model.popularity is not None:
            popularity = model.popularity.catalogue_log_popularity(model.num_items).numpy()
        self.remembered = model.remembered(self.items, tf.constant(inputs[schema.HISTORY_EVENTS]))
        entries = {} if model.memory is None else model.memory.neighbour_entries(self.remembered)
        neighbours = {name: indices.numpy() for name, (indices, _) in entries.items()}

        is_cell = np.zeros(cosine.shape, bool)
        is_cell[:, popularity != 0] = True
        is_cell[seen_rows, seen] = True
        is_cell[self.target_rows, targets] = True
        for indices in neighbours.values():
            row, column = np.nonzero(indices >= 0)
            is_cell[row, indices[row, column]] = True
        self.cell_offsets = np.concatenate([[0], np.cumsum(is_cell.sum(axis=1))])
        cell = np.where(is_cell, np.cumsum(is_cell.ravel()).reshape(is_cell.shape) - 1, self.cell_offsets[-1])
        self.seen_offsets = np.searchsorted(seen_rows, np.arange(len(rows) + 1))
        self.slices = _row_slices(self.cell_offsets)
        self.seen_cells, self.target_cells = cell[seen_rows, seen], cell[self.target_rows, targets]
        every_row = np.arange(len(rows))[:, None]
        self.neighbour_cells = {
            name: np.where(indices >= 0, cell[every_row, indices], self.cell_offsets[-1]).ravel().astype(np.int32)
            for name, indices in neighbours.items()
        }
        self.cosine, self.popularity = cosine[is_cell], np.broadcast_to(popularity, is_cell.shape)[is_cell]
        cosine.sort(axis=1)  # NaN last
        self.sorted_cosine, self.memory_parts = cosine, dict[str, np.ndarray]()

    def compute_memory_parts(self, memory: NeighbourMemory) -> dict[str, np.ndarray]:
        """The memory's unweighted scores under its current decay and discount, float32 `[cells]`, by weight name."""
        parts = {}
        for name, (_, values) in memory.neighbour_entries(self.remembered).items():
            sums = np.bincount(self.neighbour_cells[name], values.numpy().ravel(), self.cell_offsets[-1] + 1)[:-1]
            parts[name] = memory.unweighted_scores(name, tf.constant(sums.astype(np.float32))).numpy()
        return parts

    def ndcg(self, weights: ScoreWeights) -> np.ndarray:
        """NDCG@10 of each query, float64 `[rows]`."""
        bias = np.where(self.is_newest, weights.newest, weights.others) + weights.slope * self.log_count
        bias = (bias + self.kind_bias).astype(np.float32)
        target_scores = np.empty(len(self.target_cells), np.float32)
        more_below = np.empty(len(self.target_cells), np.int64)
        for start, stop in self.slices:
            seen = slice(self.seen_offsets[start], self.seen_offsets[stop])
            targets = slice(self.target_offsets[start], self.target_offsets[stop])
            cells = slice(self.cell_offsets[start], self.cell_offsets[stop])
            network = self.cosine[cells] * np.float32(weights.cosine)
            if weights.popularity:
                scores = network + np.float32(weights.popularity) * self.popularity[cells]
            else:
                scores = network.copy()
            for name, part in self.memory_parts.items():
                scores += part[cells] * np.float32(getattr(weights, name))
            scores[self.seen_cells[seen] - cells.start] += bias[seen]
            target_scores[targets] = scores[self.target_cells[targets] - cells.start]
            offsets = self.cell_offsets[start : stop + 1] - cells.start
            counts = self.target_offsets[start + 1 : stop + 1] - self.target_offsets[start:stop]
            more_below[targets] = _additional_below(network, scores, offsets, target_scores[targets], counts)
        below = self._network_below(np.float32(weights.cosine), target_scores) + more_below
        ranks = ranks_of(target_scores, self.sorted_cosine.shape[1] - below, self.target_offsets)
        return ranking_metrics(ranks, self.target_offsets, 10)["ndcg"]

    def _network_below(self, cosine: np.float32, target_scores: np.ndarray) -> np.ndarray:
        """How many items have a network score below each target's score, by binary search: int64 `[targets]`."""
        items = self.sorted_cosine.shape[1]
        low, high = np.zeros(len(target_scores), np.int64), np.full(len(target_scores), items)
        while (unfinished := low < high).any():
            middle = (low + high) // 2
            is_below = self.sorted_cosine[self.target_rows, np.minimum(middle, items - 1)] * cosine < target_scores
            low = np.where(unfinished & is_below, middle + 1, low)
            high = np.where(unfinished & ~is_below, middle, high)
        return low


def _row_slices(cell_offsets: np.ndarray) -> list[tuple[int, int]]:
    """First row and end of slices of about `CELLS_PER_SLICE` cells; `cell_offsets`, int `[rows + 1]`, is the first cell
    of each row, and the end."""
    cuts = np.searchsorted(cell_offsets, np.arange(0, cell_offsets[-1], CELLS_PER_SLICE))
    cuts = np.unique(np.append(cuts, len(cell_offsets) - 1))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _additional_below(
    network: np.ndarray, scores: np.ndarray, cell_offsets: np.ndarray, target_scores: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """How many more cells of a query lie below each of its targets by their full score than by the network's alone.

    Args:
        network: float32 `[cells]`, the network's scores.
        scores: float32 `[cells]`, the full scores.
        cell_offsets: int `[queries + 1]`, the first cell of each query, and the end.
        target_scores: float32 `[targets]`, the full scores of the targets, query by query.
        counts: int `[queries]`, the number of targets of each query.

    Returns:
        int64 `[targets]`.
    """
    if (counts == 1).all():
        of_query = np.repeat(target_scores, np.diff(cell_offsets))
        more = (scores < of_query).view(np.int8) - (network < of_query).view(np.int8)
        return np.add.reduceat(more, cell_offsets[:-1], dtype=np.int64)
    more = np.zeros(len(target_scores), np.int64)
    for target, row in enumerate(row_numbers(counts)):
        cells = slice(cell_offsets[row], cell_offsets[row + 1])
        with_parts, without = (np.count_nonzero(part[cells] < target_scores[target]) for part in (scores, network))
        more[target] = with_parts - without
    return more
