"""Windows over training sequences, and their seeded batches of similar lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.models.next_item.augmentation import Augmentation
from tfrec.models.next_item.domains import tempered_counts


@dataclass(frozen=True)
class Windows:
    """Windows of at most `length + 1` consecutive events of a user: `length` inputs, each labelled with the next event.

    No two windows of a user share a label, so every target is learnt once an epoch. Windows are cut from the newest
    event backwards, so only the oldest window of a user may be shorter.

    Attributes:
        histories: The training sequences.
        start: int64 `[windows]`, position of the first event of each window in the flat arrays of `histories`.
        stop: int64 `[windows]`, position after its last event.
        shares: float `[event kinds]`, the probability that a target of each kind is learnt in an epoch. None learns
            every target.
        domains: For each domain, its windows, int64, and how many of them an epoch draws; all batches are then of one
            domain. None for a single domain, whose windows are all drawn once.
    """

    histories: Histories
    start: np.ndarray
    stop: np.ndarray
    shares: np.ndarray | None = None
    domains: tuple[tuple[np.ndarray, int], ...] | None = None

    @classmethod
    def cut(cls, histories: Histories, length: int, shares: np.ndarray | None = None) -> Windows:
        """Cuts training sequences into windows; a user with a single event has none.

        Args:
            histories: The training sequences.
            length: int. Maximum number of inputs of a window.
            shares: float `[event kinds]`, as in the class.
        """
        starts: list[np.ndarray] = []
        stops: list[np.ndarray] = []
        first, stop = histories.offsets[:-1].copy(), histories.offsets[1:].copy()
        while True:
            enough = stop - first >= 2
            if not enough.any():
                break
            first, stop = first[enough], stop[enough]
            start = np.maximum(first, stop - length - 1)
            starts.append(start)
            stops.append(stop)
            stop = start + 1  # the oldest event of a window is not a label in it
        if not starts:
            return cls(histories, np.zeros(0, np.int64), np.zeros(0, np.int64), shares)
        return cls(histories, np.concatenate(starts), np.concatenate(stops), shares)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def people(self) -> np.ndarray:
        """The row of `histories` that each window is of, int64 `[windows]`."""
        rows: np.ndarray = np.searchsorted(self.histories.offsets, self.start, side="right") - 1
        return rows

    def by_domain(self, sizes: Sequence[int], temperature: float) -> Windows:
        """The same windows, in batches of one domain each.

        Args:
            sizes: Number of items of each domain, in catalogue order.
            temperature: float. How often each domain is drawn (`tempered_counts`).
        """
        domain = np.searchsorted(np.cumsum(sizes), self.histories.items[self.start], side="right")
        rows = [np.flatnonzero(domain == number) for number in range(len(sizes))]
        counts = tempered_counts([len(each) for each in rows], temperature)
        return replace(self, domains=tuple(zip(rows, counts, strict=True)))

    def batch(
        self,
        rows: np.ndarray,
        rng: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
        chances: np.random.Generator | None = None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The batch of some windows.

        Args:
            rows: int `[batch]`, the windows.
            rng: Draws which labels are learnt, by `shares`. None learns all.
            augmentation: Changes the sequences. None leaves them as they are.
            chances: Random numbers of the augmentation; None for no augmentation.

        Returns:
            The inputs of the model (with augmentation also those of `Augmentation.augment_inputs`), and labels, int32
            `[batch, length]`, −1 at positions without a label.
        """
        flat = self.histories
        lengths = self.stop[rows] - self.start[rows]
        positions = np.minimum(self.start[rows][:, None] + np.arange(lengths.max()), len(flat.items) - 1)
        timed = positions
        if augmentation is not None and chances is not None:
            times = flat.timestamps if flat.clock else None
            positions, timed, lengths = augmentation.crop_and_reorder(positions, lengths, times, chances)
        real = np.arange(positions.shape[1]) < lengths[:, None]
        read = positions[:, :-1][real[:, 1:]]
        picked = Histories(
            user_ids=np.empty(len(rows), object),
            offsets=np.concatenate([[0], np.cumsum(lengths - 1)]),
            items=flat.items[read],
            events=flat.events[read],
            timestamps=flat.timestamps[timed[:, :-1][real[:, 1:]]],
            values=flat.values[read],
            is_target=flat.is_target[read],
            clock=flat.clock,
        )
        inputs = history_batch(picked, np.arange(len(rows)), int(lengths.max()) - 1)
        following = positions[:, 1:]
        learn = real[:, 1:] & flat.is_target[following]
        if self.shares is not None and rng is not None:
            learn &= rng.random(learn.shape) < self.shares[flat.events[following]]
        labels = np.where(learn, flat.items[following], schema.PADDING).astype(np.int32)
        if augmentation is not None and chances is not None and augmentation.changes_inputs:
            return augmentation.augment_inputs(inputs, labels, chances)
        return inputs, labels

    def epoch(self, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
        """The windows of each batch of an epoch, int64 `[batch]` each. They depend only on the seed and the epoch.

        Windows are shuffled and sorted by length within groups of 16 batches, so that a batch needs little padding;
        then the batches are shuffled. A domain that is drawn more often than it has windows repeats them.

        Args:
            batch_size: int. Windows a batch.
            seed: int.
            epoch: int. Number of the epoch.
        """
        rng = np.random.default_rng([seed, epoch])
        orders = [rng.permutation(len(self))] if self.domains is None else [_drawn(*one, rng) for one in self.domains]
        batches = [batch for order in orders for batch in self._of_similar_lengths(order, batch_size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def _of_similar_lengths(self, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """The windows in batches, sorted by length within groups of 16 batches."""
        lengths, size = self.stop - self.start, 16 * batch_size
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        ordered = [group[np.argsort(lengths[group], kind="stable")] for group in groups]
        return [group[i : i + batch_size] for group in ordered for i in range(0, len(group), batch_size)]

    def steps(self, batch_size: int) -> int:
        """Number of batches of an epoch."""
        counts = [len(self)] if self.domains is None else [count for _, count in self.domains]
        return sum(-(-count // batch_size) for count in counts)


def _drawn(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows in random order: as many whole passes as there are, and a part of another."""
    passes = -(-count // len(rows)) if len(rows) else 0
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(passes))])[:count]
