"""Histories and queries: many users' events in flat arrays with offsets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np


def stretches(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The positions of stretches, back to back: `start, start + 1, …` for each.

    Example:
        >>> stretches(np.array([3, 9]), np.array([2, 1])).tolist()
        [3, 4, 9]
    """
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@dataclass(frozen=True)
class Histories:
    """Event sequences of users, oldest first, back to back.

    Row i holds the flat positions `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        user_ids: object `[rows]`, strings.
        offsets: int64 `[rows + 1]`.
        items: int32 `[events]`, catalogue indices.
        events: int16 `[events]`, indices into `PreparedDataset.event_kinds`.
        timestamps: int64 `[events]`, microseconds since 1970, or the place in the order where there is no clock.
        values: float32 `[events]`, NaN where there is none.
        is_target: bool `[events]`, whether the event's kind is one that models learn to predict.
        clock: bool. Whether timestamps are times.
        context: the events' `context_*` columns by name, each `[events]`, of the type they came in (strings from CSV).
    """

    user_ids: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    events: np.ndarray
    timestamps: np.ndarray
    values: np.ndarray
    is_target: np.ndarray
    clock: bool = False
    context: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Events a row, int64 `[rows]`."""
        return np.diff(self.offsets)

    def row(self, index: int) -> slice:
        """Flat positions of one row."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def prefixes(self, rows: np.ndarray, lengths: np.ndarray) -> Histories:
        """The first `lengths[i]` events of row `rows[i]`, each a row of the result."""
        positions, offsets = stretches(self.offsets[rows], lengths), _offsets(lengths)
        return Histories(
            user_ids=self.user_ids[rows],
            offsets=offsets,
            items=self.items[positions],
            events=self.events[positions],
            timestamps=self.timestamps[positions],
            values=self.values[positions],
            is_target=self.is_target[positions],
            clock=self.clock,
            context={name: values[positions] for name, values in self.context.items()},
        )

    def without(self, items: np.ndarray) -> Histories:
        """The events whose item is not marked in bool `[num_items]`; every row stays, if empty."""
        kept = ~items[self.items]
        before = np.concatenate([[0], np.cumsum(kept)])
        flat = {name: getattr(self, name)[kept] for name in ("items", "events", "timestamps", "values", "is_target")}
        context = {name: values[kept] for name, values in self.context.items()}
        return replace(self, offsets=before[self.offsets], context=context, **flat)


@dataclass(frozen=True)
class Queries:
    """What a model is asked in an evaluation: histories, and the items each user took next.

    Attributes:
        history: one row a query, the events the model may see.
        target_offsets: int64 `[queries + 1]`. target_items: int32, flat; distinct within a query.
    """

    history: Histories
    target_offsets: np.ndarray
    target_items: np.ndarray

    @property
    def user_ids(self) -> np.ndarray:
        """Object `[queries]`."""
        return self.history.user_ids

    def __len__(self) -> int:
        return len(self.history)

    def sample(self, most: int, seed: int) -> Queries:
        """At most `most` of them, drawn with `seed`, in their order; itself where there are no more."""
        if len(self) <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        flat, offsets = self.targets_of(rows)
        return Queries(self.history.prefixes(rows, self.history.lengths[rows]), offsets, self.target_items[flat])

    def targets_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `target_items` the targets of int `[n]` rows are, back to back, and int64 `[n + 1]`, where in that
        each row's begin."""
        counts = np.diff(self.target_offsets)[rows]
        return stretches(self.target_offsets[rows], counts), _offsets(counts)
