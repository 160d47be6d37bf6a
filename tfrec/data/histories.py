"""Histories and queries: the events of many users in flat arrays with offsets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np


def concatenate_ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenates the ranges `starts[i], …, starts[i] + lengths[i] − 1`.

    Args:
        starts: int `[ranges]`.
        lengths: int `[ranges]`.

    Returns:
        int `[sum of lengths]`.

    Example:
        >>> concatenate_ranges(np.array([3, 9]), np.array([2, 1])).tolist()
        [3, 4, 9]
    """
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def row_numbers(lengths: np.ndarray) -> np.ndarray:
    """The row of each element of concatenated rows.

    Args:
        lengths: int `[rows]`, number of elements of each row.

    Returns:
        int64 `[sum of lengths]`.

    Example:
        >>> row_numbers(np.array([2, 0, 1])).tolist()
        [0, 0, 2]
    """
    return np.repeat(np.arange(len(lengths)), lengths)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@dataclass(frozen=True)
class Histories:
    """Event sequences of users, oldest event first, concatenated into flat arrays.

    The events of row i are at the flat positions `offsets[i]` to `offsets[i + 1] − 1`.

    Attributes:
        user_ids: object `[rows]`, strings.
        offsets: int64 `[rows + 1]`.
        items: int32 `[events]`, item indices.
        events: int16 `[events]`, indices into `PreparedDataset.event_kinds`.
        timestamps: int64 `[events]`, microseconds since 1970, or order numbers without a clock.
        values: float32 `[events]`, NaN for an event without a value.
        is_target: bool `[events]`, whether models learn to predict the event.
        clock: bool. Whether timestamps are real times.
        context: The `context_*` columns by name, each `[events]`, in their input type (strings from CSV).
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
        """Number of events in each row, int64 `[rows]`."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> np.ndarray:
        """The row of each event, int64 `[events]`."""
        return row_numbers(self.lengths)

    def row(self, index: int) -> slice:
        """The flat positions of one row."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def prefixes(self, rows: np.ndarray, lengths: np.ndarray) -> Histories:
        """The first `lengths[i]` events of each row `rows[i]`, as new histories.

        Args:
            rows: int `[n]`. A row may be repeated.
            lengths: int `[n]`.
        """
        positions, offsets = concatenate_ranges(self.offsets[rows], lengths), _offsets(lengths)
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
        """The histories without the events of the items marked in bool `[num_items]`. Rows may become empty."""
        kept = ~items[self.items]
        before = np.concatenate([[0], np.cumsum(kept)])
        flat = {name: getattr(self, name)[kept] for name in ("items", "events", "timestamps", "values", "is_target")}
        context = {name: values[kept] for name, values in self.context.items()}
        return replace(self, offsets=before[self.offsets], context=context, **flat)


@dataclass(frozen=True)
class Queries:
    """Evaluation queries: the history the model sees, and the items the user chose next.

    Attributes:
        history: The events the model may see, one row per query.
        target_offsets: int64 `[queries + 1]`. The targets of query i are at `target_offsets[i]` to
            `target_offsets[i + 1] − 1`.
        target_items: int32 `[targets]`, item indices, distinct within a query.
    """

    history: Histories
    target_offsets: np.ndarray
    target_items: np.ndarray

    @property
    def user_ids(self) -> np.ndarray:
        """User ids of the queries, object `[queries]`."""
        return self.history.user_ids

    @property
    def target_rows(self) -> np.ndarray:
        """The query of each target, int64 `[targets]`."""
        return row_numbers(np.diff(self.target_offsets))

    def __len__(self) -> int:
        return len(self.history)

    def sample(self, most: int | None, seed: int) -> Queries:
        """A random sample of at most `most` queries, in their original order.

        Returns the queries themselves if there are no more than `most`, and where it is None.
        """
        if most is None or len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    def take(self, rows: np.ndarray) -> Queries:
        """Some of the queries, by their rows, int `[n]`."""
        flat, offsets = self.targets_of(rows)
        return Queries(self.history.prefixes(rows, self.history.lengths[rows]), offsets, self.target_items[flat])

    def with_targets_among(self, items: np.ndarray | None) -> Queries:
        """The queries with only those targets that are marked in bool `[num_items]`, None for all.

        Queries without a target left are dropped.
        """
        if items is None:
            return self
        kept = items[self.target_items]
        counts = np.bincount(self.target_rows[kept], minlength=len(self))
        rows = np.flatnonzero(counts)
        history = self.history.prefixes(rows, self.history.lengths[rows])
        return Queries(history, _offsets(counts[rows]), self.target_items[kept])

    def targets_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `target_items` of the targets of the queries `rows`, int `[n]`.

        Returns:
            positions: int64 `[targets of the rows]`, concatenated. offsets: int64 `[n + 1]`, where each row's begin.
        """
        counts = np.diff(self.target_offsets)[rows]
        return concatenate_ranges(self.target_offsets[rows], counts), _offsets(counts)
