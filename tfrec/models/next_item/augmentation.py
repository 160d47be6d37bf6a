"""Training sequences changed anew in every epoch: what a model reads varies, what it is to predict never does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrec import schema
from tfrec.config import AugmentationConfig

NEIGHBOURS = 8
"""Neighbours an item, of each sort, that may stand in its place. A choice, not the result of a search."""

VIEWS = AugmentationConfig(crop=1.0, mask=0.2, reorder=0.5)
"""How the two views of the contrastive term are made; crop, mask and reorder are those of CL4SRec."""


@dataclass(frozen=True)
class Augmentation:
    """Crop and reorder (of events), substitution, mask and drop (of what is read of them).

    The first four are those of CL4SRec (Xie et al. 2022, https://arxiv.org/abs/2010.14395) and CoSeRec (Liu et al.
    2021, https://arxiv.org/abs/2108.06479), which use them for views of a sequence; here they change the inputs of the
    next-item loss, and the targets stay true:

    - *crop*: a contiguous part, at least half of the events and at least two. Its targets are those it has.
    - *reorder*: the events of each session are shuffled, as a whole: an event that moves is read and predicted in its
      new place. Needs a clock; without one it does nothing.
    - *substitute*: an item is read as a neighbour of it, by shared histories or by text. Never as an item that the
      sequence holds itself: neighbours are counted in training sequences, and would tell the target.
    - *mask*: the item of an event is hidden (its vector is 0), its place and kind are not.
    - *drop*: an event is not read at all. The target after it is still learnt, from what is left before it; a target
      before which nothing is left is not.

    The last three are about the transformer alone. The neighbour memory and the bias on repeats are counted from the
    sequences, and go on reading them as they were.

    Args:
        options: The chances.
        substitutes: int32 `[num_items, n]`, −1 where an item has fewer; None without substitution.
    """

    options: AugmentationConfig
    substitutes: np.ndarray | None = None

    def events(
        self, positions: np.ndarray, lengths: np.ndarray, times: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Crop and reorder.

        Args:
            positions: int64 `[batch, width]`, events in their order; what is beyond a row's length is no event.
            lengths: int64 `[batch]`, at least 2.
            times: int64, microseconds at every position; None without a clock.
            rng: Where all chances come from.

        Returns:
            The positions of the events that are read and predicted, int64 `[batch, new width]`; those whose times they
            get, of the same shape, which crop alone moves; and the new lengths.
        """
        if self.options.crop:
            positions, lengths = _cropped(positions, lengths, self.options.crop, rng)
        if self.options.reorder and times is not None:
            longest = self.options.sitting * 60e6
            return _reordered(positions, lengths, times, longest, self.options.reorder, rng), positions, lengths
        return positions, positions, lengths

    @property
    def reads(self) -> bool:
        """Whether `read` changes anything."""
        return bool(self.options.drop or self.options.mask or self.options.substitute)

    def read(
        self, inputs: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Substitution, mask and drop.

        Args:
            inputs: `history_items`, `history_events` int32 and `history_gaps` float32, `[batch, length]`.
            labels: int32 `[batch, length]`, −1 where there is none.
            rng: Where all chances come from.

        Returns:
            The inputs as the transformer reads them, with `recorded_items` and `recorded_events`, as they were, and
            `read_places`, int32: how far the transformer has read when the label of a column is asked. And the labels,
            without those before which nothing is read.
        """
        items = inputs[schema.HISTORY_ITEMS]
        real, read = items >= 0, items
        if self.substitutes is not None and self.options.substitute:
            read = self._substituted(items, labels, real & (rng.random(items.shape) < self.options.substitute), rng)
        if self.options.mask:
            read = np.where(rng.random(items.shape) < self.options.mask, schema.PADDING, read).astype(np.int32)
        changed = {**inputs, schema.HISTORY_ITEMS: read}
        kept = real
        if self.options.drop:
            kept = real & (rng.random(items.shape) >= self.options.drop)
            order = np.argsort(~kept, axis=1, kind="stable")
            left = np.take_along_axis(kept, order, axis=1)
            for name, padding in ((schema.HISTORY_ITEMS, -1), (schema.HISTORY_EVENTS, -1), (schema.HISTORY_GAPS, 0)):
                moved = np.take_along_axis(changed[name], order, axis=1)
                changed[name] = np.where(left, moved, moved.dtype.type(padding))
        places = np.cumsum(kept, axis=1, dtype=np.int32) - 1
        changed |= {schema.RECORDED_ITEMS: items, schema.RECORDED_EVENTS: inputs[schema.HISTORY_EVENTS]}
        changed[schema.READ_PLACES] = np.maximum(places, 0)
        return changed, np.where(places >= 0, labels, schema.PADDING).astype(np.int32)

    def _substituted(
        self, items: np.ndarray, labels: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        assert self.substitutes is not None
        row, column = np.nonzero(chosen)
        options = self.substitutes[items[row, column]]
        place = np.floor(rng.random(len(row)) * (options >= 0).sum(axis=1)).astype(np.int64)
        order = np.argsort(options < 0, axis=1, kind="stable")  # the real ones first
        found = options[np.arange(len(row)), order[np.arange(len(row)), place]] if options.size else options[:, 0]
        told = (found[:, None] == items[row]).any(axis=1) | (found[:, None] == labels[row]).any(axis=1)
        usable = (found >= 0) & ~told
        read = items.copy()
        read[row[usable], column[usable]] = found[usable]
        return read


def _cropped(
    positions: np.ndarray, lengths: np.ndarray, chance: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    least = np.maximum(2, -(-lengths // 2))
    kept = least + np.floor(rng.random(len(lengths)) * (lengths - least + 1)).astype(np.int64)
    kept = np.where(rng.random(len(lengths)) < chance, kept, lengths)
    first = np.floor(rng.random(len(lengths)) * (lengths - kept + 1)).astype(np.int64)
    column = np.minimum(first[:, None] + np.arange(kept.max()), positions.shape[1] - 1)
    return np.take_along_axis(positions, column, axis=1), kept


def _reordered(
    positions: np.ndarray,
    lengths: np.ndarray,
    times: np.ndarray,
    longest: float,
    chance: float,
    rng: np.random.Generator,
) -> np.ndarray:
    real = np.arange(positions.shape[1]) < lengths[:, None]
    when = times[positions]
    new = np.ones(positions.shape, np.int64)
    new[:, 1:] = (when[:, 1:] - when[:, :-1] > longest) | ~real[:, 1:]
    # rows that are left alone have one session per event, and so has padding
    new[rng.random(len(lengths)) >= chance] = 1
    order = np.argsort(np.cumsum(new, axis=1) + rng.random(positions.shape), axis=1)
    return np.take_along_axis(positions, order, axis=1)
