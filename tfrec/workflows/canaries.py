"""Canaries: people who never were, to whom a training is shown or not, so that an audit can ask whether it knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries

LENGTH = 10
"""Events of a canary."""


class DatasetWithCanaries(PreparedDataset):
    """Prepared data whose training sequences have some canaries at their end.

    Args:
        data: The data as the model reads it (`ModelFamily.read_by`); it is not changed.
        canaries: The histories of all canaries.
        included: bool `[canaries]`, which of them are in the training.
    """

    def __init__(self, data: PreparedDataset, canaries: Histories, included: np.ndarray) -> None:
        super().__init__(data.path)
        self._data = data
        rows = np.flatnonzero(included)
        self._canaries = canaries.prefixes(rows, canaries.lengths[rows])

    def training(self) -> Histories:
        """The training sequences of the data, and the canaries that are included."""
        ours, theirs = self._data.training(), self._canaries
        flat: dict[str, Any] = {
            name: np.concatenate([getattr(ours, name), getattr(theirs, name)])
            for name in ("user_ids", "items", "events", "timestamps", "values", "is_target")
        }
        offsets = np.concatenate([ours.offsets, ours.offsets[-1] + theirs.offsets[1:]])
        return Histories(offsets=offsets, clock=ours.clock, **flat)

    def histories(self) -> Histories:
        """The complete sequences of the data, without canaries."""
        return self._data.histories()

    def queries(self, split: str, slice: str = "warm") -> Queries:
        """The evaluation queries of the data, without canaries."""
        return self._data.queries(split, slice)


def random_canaries(data: PreparedDataset, count: int, rng: np.random.Generator) -> Histories:
    """Histories of random items, each of `LENGTH` events: nothing but having seen one tells how it goes on.

    Args:
        data: The catalogue and the event kinds.
        count: int. Number of canaries.
        rng: Draws items and event kinds.
    """
    ours, events = data.training(), count * LENGTH
    kinds = ours.events[ours.is_target]
    return Histories(
        user_ids=np.array([f"canary {number}" for number in range(count)], object),
        offsets=np.arange(count + 1, dtype=np.int64) * LENGTH,
        items=rng.integers(0, data.num_items, events).astype(np.int32),
        events=rng.choice(kinds, events).astype(ours.events.dtype),
        timestamps=np.tile(np.arange(LENGTH, dtype=np.int64) * 60_000_000, count),
        values=np.full(events, np.nan, np.float32),
        is_target=np.ones(events, bool),
        clock=ours.clock,
    )
