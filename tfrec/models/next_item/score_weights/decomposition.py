"""The parts of a NextItemModel's scores, taken apart so that NDCG@10 under many strengths is found fast."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Queries, row_numbers
from tfrec.data.padding import history_batch
from tfrec.evaluation.evaluate_ranking import without_seen
from tfrec.evaluation.ranking_metrics import ranking_metrics, ranks_of
from tfrec.models.next_item.history_ops import newest
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import NeighbourMemory
from tfrec.models.next_item.repeat_bias import occurrences
from tfrec.models.next_item.score_weights.weights import Balance
from tfrec.training.temporary_weights import restored

AT_ONCE = 256
"""Queries that are read or ranked at the same time, so that only their scores exist for all."""
IN_CACHE = 16_000
"""Places that are scored at the same time: no array is then so large that its memory is asked of the system anew."""
KEPT = 128_000_000
"""Numbers that are kept of what the memory says under decays and discounts tried before: 512 MB."""


class ScoreParts:
    """The parts of the scores of some queries, and the NDCG@10 of each query under given strengths.

    All that strengths can change is the order among the items that a part other than the network adds to, a few hundred
    of a catalogue, and between those and the rest. The rest keeps the network's order, so that its items above a target
    are counted by a search in the sorted cosines.

    Args:
        model: The fitted model.
        queries: Validation queries. rows: int `[n]`, those that are used.
        exclude_seen: Whether seen items are masked.
    """

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        starts = range(0, len(rows), AT_ONCE)
        self.blocks = [_Block(model, queries, rows[start : start + AT_ONCE], exclude_seen) for start in starts]
        self.memory = model.memory
        self.names = ["cosine"]
        if model.memory is not None:
            self.names += ["decay", *(["discount"] if model.memory.k else []), *model.memory.parts]
        self.names += ["newest", "others", "slope"] if model.repeats is not None else []
        self.names += ["popularity"] if model.popularity is not None else []
        self.reading = (np.nan, np.nan)
        self.kept: dict[tuple[float, float], list[dict[str, np.ndarray]]] = {}

    def ndcg(self, by: Balance) -> np.ndarray:
        """NDCG@10 of each query, float64 `[n]`, in the order of `rows`."""
        if self.memory is not None and (by.decay, by.discount) != self.reading:
            self._remember(self.memory, by)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of the interpreter
            return np.concatenate(list(pool.map(lambda block: block.ndcg(by), self.blocks)))

    def _remember(self, memory: NeighbourMemory, by: Balance) -> None:
        """Sets what the blocks remember to that of a decay and a discount; the first few are kept for the next time."""
        self.reading = (by.decay, by.discount)
        found = self.kept.get(self.reading) or self._read(memory, by)
        size = sum(part.size for parts in found for part in parts.values())
        if len(self.kept) < KEPT // max(size, 1):
            self.kept[self.reading] = found
        for block, parts in zip(self.blocks, found, strict=True):
            block.remembered = parts

    def _read(self, memory: NeighbourMemory, by: Balance) -> list[dict[str, np.ndarray]]:
        with restored(memory.strengths):
            memory.assign(decay=by.decay, discount=by.discount if memory.k else None)
            return [block.read(memory) for block in self.blocks]


class _Block:
    """The parts of a few queries' scores, for the items that something is added to, and the targets: the *places*, item
    by item of the first query, then of the second, and so on.

    What the memory's strengths multiply is `remembered`, for one decay and discount.
    """

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        inputs = history_batch(queries.history, rows, model.memory_history)
        self.items = tf.constant(inputs[schema.HISTORY_ITEMS])
        cosine = model.cosines({name: tf.constant(value) for name, value in inputs.items()}).numpy()
        if exclude_seen:
            cosine = without_seen(cosine, queries.history, rows)
        flat, self.offsets = queries.targets_of(rows)
        targets = queries.target_items[flat]
        self.target_rows = row_numbers(np.diff(self.offsets))

        last, count = occurrences(self.items)
        taken_rows, column = tf.where(last).numpy().T
        taken = self.items.numpy()[taken_rows, column]
        self.log_count = np.log(tf.boolean_mask(count, last).numpy())
        self.of_kind = np.zeros(len(taken), np.float32)
        if model.repeats is not None:
            kinds = tf.constant(inputs[schema.HISTORY_EVENTS][taken_rows, column])
            self.of_kind = model.repeats.of_kind(kinds, model.repeats.numbers).numpy()
        self.is_newest = taken == newest(self.items).numpy()[taken_rows]

        popular = np.zeros(model.num_items, np.float32)
        if model.popularity is not None:
            popular = model.popularity.part_of_whole(model.num_items).numpy()
        found = {} if model.memory is None else model.memory.entries(self.items)
        entries = {name: indices.numpy() for name, (indices, _) in found.items()}

        touched = np.zeros(cosine.shape, bool)
        touched[:, popular != 0] = True
        touched[taken_rows, taken] = True
        touched[self.target_rows, targets] = True
        for indices in entries.values():
            row, near = np.nonzero(indices >= 0)
            touched[row, indices[row, near]] = True
        self.bounds = np.concatenate([[0], np.cumsum(touched.sum(axis=1))])
        place = np.where(touched, np.cumsum(touched.ravel()).reshape(touched.shape) - 1, self.bounds[-1])
        self.taken_offsets = np.searchsorted(taken_rows, np.arange(len(rows) + 1))
        self.pieces = _pieces(self.bounds)
        self.taken, self.targets = place[taken_rows, taken], place[self.target_rows, targets]
        every = np.arange(len(rows))[:, None]
        self.entries = {
            name: np.where(indices >= 0, place[every, indices], self.bounds[-1]).ravel().astype(np.int32)
            for name, indices in entries.items()
        }
        self.cosine, self.popular = cosine[touched], np.broadcast_to(popular, touched.shape)[touched]
        cosine.sort(axis=1)  # NaN last
        self.sorted, self.remembered = cosine, dict[str, np.ndarray]()

    def read(self, memory: NeighbourMemory) -> dict[str, np.ndarray]:
        """What the memory's strengths multiply at each place, with the decay and the discount that it has now."""
        found = {}
        for name, (_, values) in memory.entries(self.items).items():
            sums = np.bincount(self.entries[name], values.numpy().ravel(), self.bounds[-1] + 1)[:-1]
            found[name] = memory.part_of(name, tf.constant(sums.astype(np.float32))).numpy()
        return found

    def ndcg(self, by: Balance) -> np.ndarray:
        """NDCG@10 of each query, float64 `[rows]`."""
        bias = np.where(self.is_newest, by.newest, by.others) + by.slope * self.log_count + self.of_kind
        bias = bias.astype(np.float32)
        bound = np.empty(len(self.targets), np.float32)
        more_below = np.empty(len(self.targets), np.int64)
        for start, stop in self.pieces:
            taken = slice(self.taken_offsets[start], self.taken_offsets[stop])
            targets = slice(self.offsets[start], self.offsets[stop])
            places = slice(self.bounds[start], self.bounds[stop])
            alone = self.cosine[places] * np.float32(by.cosine)
            scores = alone + np.float32(by.popularity) * self.popular[places] if by.popularity else alone.copy()
            for name, part in self.remembered.items():
                scores += part[places] * np.float32(getattr(by, name))
            scores[self.taken[taken] - places.start] += bias[taken]
            bound[targets] = scores[self.targets[targets] - places.start]
            bounds = self.bounds[start : stop + 1] - places.start
            counts = self.offsets[start + 1 : stop + 1] - self.offsets[start:stop]
            more_below[targets] = _further_below(alone, scores, bounds, bound[targets], counts)
        below = self._below_alone(np.float32(by.cosine), bound) + more_below
        ranks = ranks_of(bound, self.sorted.shape[1] - below, self.offsets)
        return ranking_metrics(ranks, self.offsets, 10)["ndcg"]

    def _below_alone(self, cosine: np.float32, bound: np.ndarray) -> np.ndarray:
        """How many items the network alone scores below each target's score, by bisection: int64 `[targets]`."""
        low, high = np.zeros(len(bound), np.int64), np.full(len(bound), self.sorted.shape[1])
        while (open_ := low < high).any():
            middle = (low + high) // 2
            found = self.sorted[self.target_rows, np.minimum(middle, self.sorted.shape[1] - 1)] * cosine < bound
            low = np.where(open_ & found, middle + 1, low)
            high = np.where(open_ & ~found, middle, high)
        return low


def _pieces(bounds: np.ndarray) -> list[tuple[int, int]]:
    """Rows from and to, of about `IN_CACHE` places each; `bounds`, int `[rows + 1]`, is where those of a row begin."""
    cuts = np.searchsorted(bounds, np.arange(0, bounds[-1], IN_CACHE))
    cuts = np.unique(np.append(cuts, len(bounds) - 1))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _further_below(
    alone: np.ndarray, scores: np.ndarray, bounds: np.ndarray, bound: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """How many more places of a query score below each of its targets than the network alone would put there.

    Args:
        alone, scores: float32 `[places]`, of the network, and with all that is added.
        bounds: int `[queries + 1]`, where the places of each begin.
        bound: float32 `[targets]`, their scores. counts: int `[queries]`, the targets of each.

    Returns:
        int64 `[targets]`.
    """
    if (counts == 1).all():
        of_query = np.repeat(bound, np.diff(bounds))
        more = (scores < of_query).view(np.int8) - (alone < of_query).view(np.int8)
        return np.add.reduceat(more, bounds[:-1], dtype=np.int64)
    found = np.zeros(len(bound), np.int64)
    for target, row in enumerate(row_numbers(counts)):
        places = slice(bounds[row], bounds[row + 1])
        below, before = (np.count_nonzero(part[places] < bound[target]) for part in (scores, alone))
        found[target] = below - before
    return found
