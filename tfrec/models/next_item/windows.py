"""Training sequences cut into windows, and the seeded, length-sorted batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.models.next_item.augmentation import Augmentation


@dataclass(frozen=True)
class Windows:
    """Stretches of at most `length + 1` events: `length` inputs, each with the event after it as its label.

    `start` and `stop` are int64 positions in the flat arrays of `histories`. Windows of one user don't share a label,
    so every target is learnt once an epoch; the newest window is the full one. `shares`, float `[event kinds]`, is the
    chance that a target of a kind is learnt in an epoch; None learns all.
    """

    histories: Histories
    start: np.ndarray
    stop: np.ndarray
    shares: np.ndarray | None = None

    @classmethod
    def cut(cls, histories: Histories, length: int, shares: np.ndarray | None = None) -> Windows:
        """Cuts each user's events, newest first, into windows; users with a single event give none."""
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
            stop = start + 1  # the oldest event of a window was no label in it
        if not starts:
            return cls(histories, np.zeros(0, np.int64), np.zeros(0, np.int64), shares)
        return cls(histories, np.concatenate(starts), np.concatenate(stops), shares)

    def __len__(self) -> int:
        return len(self.start)

    def batch(
        self,
        rows: np.ndarray,
        rng: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
        chances: np.random.Generator | None = None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs of the model, and labels int32 `[batch, length]` with −1 where nothing is to be learnt; with `rng`, a
        share of the labels is, by kind. `augmentation` changes both, by what it draws from `chances`."""
        flat = self.histories
        lengths = self.stop[rows] - self.start[rows]
        positions = np.minimum(self.start[rows][:, None] + np.arange(lengths.max()), len(flat.items) - 1)
        timed = positions
        if augmentation is not None and chances is not None:
            times = flat.timestamps if flat.clock else None
            positions, timed, lengths = augmentation.events(positions, lengths, times, chances)
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
        if augmentation is not None and chances is not None and augmentation.reads:
            return augmentation.read(inputs, labels, chances)
        return inputs, labels

    def epoch(self, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
        """Rows of each batch of one epoch. Depends on seed and epoch alone; lengths within a batch are alike.

        Windows are shuffled, sorted by length within stretches of 16 batches, and the batches are shuffled again.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        lengths = self.stop - self.start
        stretch = 16 * batch_size
        parts = [order[i : i + stretch] for i in range(0, len(order), stretch)]
        ordered = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
        batches = [ordered[i : i + batch_size] for i in range(0, len(ordered), batch_size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return -(-len(self) // batch_size)
