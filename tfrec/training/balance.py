"""How much each part of a NextItemModel's score counts, chosen on validation after the fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.batching import history_batch
from tfrec.data.dataset import Queries
from tfrec.evaluation.metrics import ranking_metrics, target_ranks
from tfrec.models.memory import NeighbourMemory
from tfrec.models.newest import newest
from tfrec.models.next_item import NextItemModel
from tfrec.models.repeats import occurrences

QUERIES = 2000
CELLS = 40_000_000
AT_ONCE = 256
"""Queries that are read or ranked at the same time, so that only their scores exist for all."""
KEPT = 128_000_000
"""Numbers that are kept of what the memory says under decays and discounts tried before: 512 MB."""
TARGETS = 100
ROUNDS = 6
FACTORS = (0.25, 0.5, 0.7, 1.4, 2.0)
STEPS = (-4.0, -1.5, -0.5, 0.5, 1.5, 4.0)
DECAYS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
DISCOUNTS = (0.0, 0.15, 0.3, 0.45, 0.6)
POPULARITIES = (-0.5, -0.1, 0.1, 0.3, 0.6, 1.2)
STARTS = (1.0, 0.5, 0.25, 0.1)
"""Factors on the network that `balances` starts from."""


@dataclass(frozen=True)
class Balance:
    """The strengths of the parts: `cosine` a factor on the network, `popularity` the weight of `PopularityBias`, the
    others as `NeighbourMemory` and `RepeatBias` name them. A part that the model lacks has 0."""

    cosine: float = 1.0
    weight: float = 0.0
    text_weight: float = 0.0
    decay: float = 0.8
    discount: float = 0.0
    newest: float = 0.0
    others: float = 0.0
    slope: float = 0.0
    popularity: float = 0.0

    @classmethod
    def of(cls, model: NextItemModel) -> Balance:
        """As the model has them now."""
        found: dict[str, float] = {}
        if model.memory is not None:
            found["decay"] = float(model.memory.decay.numpy())
            found |= {"discount": float(model.memory.discount.numpy())} if model.memory.k else {}
            found |= {name: float(getattr(model.memory, name)) for name in model.memory.parts}
        if model.repeats is not None:
            found |= dict(zip(("newest", "others", "slope"), map(float, model.repeats.numbers), strict=False))
        if model.popularity is not None:
            found["popularity"] = float(model.popularity.weight.numpy())
        return cls(**found)

    def put(self, model: NextItemModel) -> None:
        """Sets the model's strengths; the factor on the network goes into its temperature, and counts from there."""
        model.log_temperature.assign_sub(np.log(self.cosine))
        if model.memory is not None:
            discount = self.discount if model.memory.k else None
            parts = {name: getattr(self, name) for name in model.memory.parts}
            model.memory.assign(decay=self.decay, discount=discount, **parts)
        if model.repeats is not None:
            model.repeats.assign([self.newest, self.others, self.slope])
        if model.popularity is not None:
            model.popularity.weight.assign(self.popularity)


@contextmanager
def balanced(model: NextItemModel, by: Balance) -> Iterator[None]:
    """The model with other strengths; afterwards they are to the bit what they were."""
    variables = [model.log_temperature]
    variables += [] if model.memory is None else model.memory.strengths
    variables += [] if model.repeats is None else [model.repeats.scaled]
    variables += [] if model.popularity is None else [model.popularity.weight]
    before = [variable.numpy() for variable in variables]
    by.put(model)
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def balance(
    model: NextItemModel,
    queries: Queries,
    *,
    exclude_seen: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
    rounds: int = ROUNDS,
) -> Balance:
    """The strengths with the best NDCG@10 on validation queries; the model is left as it was.

    The fit learns the strengths for the very next event of each training sequence, with the sequence's own pairs taken
    out of the memory. What is asked of the model is another question: a list for a later window, after the longest
    history that can be read. So one strength after the other is moved, while a move gains more than one paired standard
    error, which keeps a small validation set from being fitted. (Coordinate ascent on the metric itself: Metzler &
    Croft 2007, https://doi.org/10.1007/s10791-006-9019-z.)

    Args:
        model: The fitted model.
        queries: Validation queries; at most 2,000 are used, drawn with `seed`, and as few as keep the scores within
            40 million numbers. With fewer than 100 targets, as for catalogues above 400,000 items, nothing is moved.
        exclude_seen: Whether seen items are masked.
        seed: int. Of the draw.
        names: Strengths that are moved; None for all that the model has.
        rounds: int. How often each is tried, at most.

    Returns:
        The strengths found; those of the model where no move gains.
    """
    parts, current = _parts(model, queries, exclude_seen, seed), Balance.of(model)
    return current if parts is None else _ascend(parts, current, names, rounds)


def balances(model: NextItemModel, queries: Queries, *, exclude_seen: bool = False, seed: int = 0) -> list[Balance]:
    """What `balance` finds from each of four loudnesses of the network, each once; all else as there.

    With few people to learn from a network is far too loud, and then no strength gains that is moved alone. Which is
    best should be judged by other queries too than these were found with.
    """
    parts, current = _parts(model, queries, exclude_seen, seed), Balance.of(model)
    if parts is None:
        return [current]
    starts = (replace(current, cosine=current.cosine * factor) for factor in STARTS)
    return list(dict.fromkeys(_ascend(parts, start, None, ROUNDS) for start in starts))


def _parts(model: NextItemModel, queries: Queries, exclude_seen: bool, seed: int) -> _Parts | None:
    """The parts of the scores of the queries that are used; None where these are too few to tell anything."""
    count = min(len(queries), QUERIES, CELLS // model.num_items)
    rows = np.sort(np.random.default_rng(seed).choice(len(queries), count, replace=False))
    if (queries.target_offsets[rows + 1] - queries.target_offsets[rows]).sum() < TARGETS:
        return None
    rows = rows[np.argsort(queries.history.lengths[rows], kind="stable")]  # so that little of a block is padding
    return _Parts(model, queries, rows, exclude_seen)


def _ascend(parts: _Parts, current: Balance, names: Sequence[str] | None, rounds: int) -> Balance:
    """Moves one strength after the other, while a move gains more than one paired standard error."""
    best = parts.ndcg(current)
    moved_names = [name for name in parts.names if names is None or name in names]
    for _ in range(rounds):
        before = current
        for name in moved_names:
            for moved in _moves(current, name):
                found = parts.ndcg(moved)
                gain = found - best
                if gain.mean() > gain.std() / np.sqrt(len(gain)):
                    current, best = moved, found
        if current == before:
            break
    return current


def _moves(start: Balance, name: str) -> list[Balance]:
    value = getattr(start, name)
    if name in ("decay", "discount"):
        values = [other for other in (DECAYS if name == "decay" else DISCOUNTS) if not np.isclose(other, value)]
    elif name in ("cosine", "weight", "text_weight"):
        values = [value * factor for factor in FACTORS]
    elif name == "popularity":
        values = [max(value + step, 0.0) for step in POPULARITIES]
    else:
        values = [value + step for step in STEPS]
    return [replace(start, **{name: moved}) for moved in values]


class _Parts:
    """The parts of the scores of some queries, and the NDCG@10 of each query under given strengths."""

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        self.blocks = [
            _Block(model, queries, rows[start : start + AT_ONCE], exclude_seen)
            for start in range(0, len(rows), AT_ONCE)
        ]
        self.memory = model.memory
        self.names = ["cosine"]
        if model.memory is not None:
            self.names += ["decay", *(["discount"] if model.memory.k else []), *model.memory.parts]
        self.names += ["newest", "others", "slope"] if model.repeats is not None else []
        self.names += ["popularity"] if model.popularity is not None else []
        self.reading = (np.nan, np.nan)
        self.kept: dict[tuple[float, float], list[dict[str, np.ndarray]]] = {}

    def ndcg(self, by: Balance) -> np.ndarray:
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
        before = [variable.numpy() for variable in memory.strengths]
        memory.assign(decay=by.decay, discount=by.discount if memory.k else None)
        found = [memory.parts_of_whole(block.items) for block in self.blocks]
        for variable, value in zip(memory.strengths, before, strict=True):
            variable.assign(value)
        return [{name: part.numpy() for name, part in parts.items()} for parts in found]


class _Block:
    """The parts of a few queries' scores. What the memory's strengths multiply is `remembered`, for one decay and
    discount."""

    def __init__(self, model: NextItemModel, queries: Queries, rows: np.ndarray, exclude_seen: bool) -> None:
        inputs = history_batch(queries.history, rows, model.memory_history)
        self.items = tf.constant(inputs[schema.HISTORY_ITEMS])
        self.cosine = model.cosines({name: tf.constant(value) for name, value in inputs.items()}).numpy()
        if exclude_seen:
            offsets = queries.history.offsets
            for row, number in enumerate(rows):
                self.cosine[row, queries.history.items[offsets[number] : offsets[number + 1]]] = -np.inf
        self.remembered: dict[str, np.ndarray] = {}
        whole = model.popularity
        self.popular = np.zeros(1, np.float32) if whole is None else whole.part_of_whole(model.num_items).numpy()

        last, count = occurrences(self.items)
        self.place = tuple(tf.where(last).numpy().T)
        self.taken = self.items.numpy()[self.place]
        self.log_count = np.log(tf.boolean_mask(count, last).numpy())
        self.of_kind = np.zeros(len(self.taken), np.float32)
        if model.repeats is not None:
            kinds = tf.constant(inputs[schema.HISTORY_EVENTS][self.place])
            self.of_kind = model.repeats.of_kind(kinds, model.repeats.numbers).numpy()
        self.is_newest = self.taken == newest(self.items).numpy()[self.place[0]]

        starts, stops = queries.target_offsets[rows], queries.target_offsets[rows + 1]
        self.offsets = np.concatenate([[0], np.cumsum(stops - starts)])
        self.targets = np.concatenate([queries.target_items[a:b] for a, b in zip(starts, stops, strict=True)])

    def ndcg(self, by: Balance) -> np.ndarray:
        scores = self.cosine * np.float32(by.cosine)
        if by.popularity:
            scores += np.float32(by.popularity) * self.popular
        added = np.empty_like(scores)
        for name, part in self.remembered.items():
            scores += np.multiply(part, np.float32(getattr(by, name)), out=added)
        bias = np.where(self.is_newest, by.newest, by.others) + by.slope * self.log_count + self.of_kind
        scores[self.place[0], self.taken] += bias.astype(np.float32)
        return ranking_metrics(target_ranks(scores, self.offsets, self.targets), self.offsets, 10)["ndcg"]
