"""Augmentation: random changes of training sequences, other ones in every epoch. Labels remain true next events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrec import schema
from tfrec.config import AugmentationConfig

NEIGHBOURS = 8
"""Co-occurrence neighbours and text neighbours of an item, each, that may replace it. Chosen, not searched."""

VIEWS = AugmentationConfig(crop=1.0, mask=0.2, reorder=0.5)
"""Augmentation of the two views of the contrastive loss: crop, mask and reorder, as in CL4SRec."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training sequences: crop, reorder, substitute, mask and drop.

    The first four come from CL4SRec (Xie et al. 2022, https://arxiv.org/abs/2010.14395) and CoSeRec (Liu et al. 2021,
    https://arxiv.org/abs/2108.06479), which make contrastive views with them. Here they change the inputs of the
    next-item loss; labels remain events that did follow.

    - *crop*: the sequence is cut to a contiguous part of at least half of its events, and at least two.
    - *reorder*: the events of each session are shuffled, both as inputs and as labels. Does nothing without a clock.
    - *substitute*: an item is replaced by one of its co-occurrence neighbours or text neighbours, but never by an item
      of the same sequence: neighbours are counted in training sequences, so it would reveal a label.
    - *mask*: the item of an event is hidden (its vector is 0); its position and kind are kept.
    - *drop*: an event is left out of the input. Its own label is then predicted from the events before it; a label with
      no event left before it is dropped too.

    The last three change only what the transformer reads. The neighbour memory and the repeat bias, which are counted
    from the sequences, still read the recorded events.

    Args:
        options: The probability of each change.
        substitutes: int32 `[num_items, n]`, the items that may replace each item, −1 is padding. None without
            substitution.
    """

    options: AugmentationConfig
    substitutes: np.ndarray | None = None

    def crop_and_reorder(
        self, positions: np.ndarray, lengths: np.ndarray, times: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Crops and reorders the events of a batch.

        Args:
            positions: int64 `[batch, width]`, positions of the events in the flat arrays of the histories.
            lengths: int64 `[batch]`, events of each row, at least 2. Positions beyond them are ignored.
            times: int64 `[events]`, microseconds, for the flat arrays; None without a clock.
            rng: Random numbers.

        Returns:
            positions: int64 `[batch, new width]`, the events in their new order.
            time_positions: int64 `[batch, new width]`, positions of the events whose times they take over: cropped, but
                not reordered.
            lengths: int64 `[batch]`, the new lengths.
        """
        if self.options.crop:
            positions, lengths = _cropped(positions, lengths, self.options.crop, rng)
        if self.options.reorder and times is not None:
            longest = self.options.sitting * 60e6
            return _reordered(positions, lengths, times, longest, self.options.reorder, rng), positions, lengths
        return positions, positions, lengths

    @property
    def changes_inputs(self) -> bool:
        """Whether `augment_inputs` changes anything."""
        return bool(self.options.drop or self.options.mask or self.options.substitute)

    def augment_inputs(
        self, inputs: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Substitutes, masks and drops the events of a batch.

        Args:
            inputs: `history_items` and `history_events`, int32, and `history_gaps`, float32, all `[batch, length]`.
            labels: int32 `[batch, length]`, −1 at positions without a label.
            rng: Random numbers.

        Returns:
            inputs: The three inputs as the transformer reads them; `recorded_items` and `recorded_events`, int32
                `[batch, length]`, as they were; and `read_positions`, int32 `[batch, length]`, for each recorded
                position the position in the transformer's input from which its label is predicted.
            labels: int32 `[batch, length]`, without the labels that have no event left before them.
        """
        items = inputs[schema.HISTORY_ITEMS]
        real, read_items = items >= 0, items
        if self.substitutes is not None and self.options.substitute:
            read_items = self._substituted(
                items, labels, real & (rng.random(items.shape) < self.options.substitute), rng
            )
        if self.options.mask:
            read_items = np.where(rng.random(items.shape) < self.options.mask, schema.PADDING, read_items).astype(
                np.int32
            )
        changed = {**inputs, schema.HISTORY_ITEMS: read_items}
        kept = real
        if self.options.drop:
            kept = real & (rng.random(items.shape) >= self.options.drop)
            order = np.argsort(~kept, axis=1, kind="stable")
            is_kept = np.take_along_axis(kept, order, axis=1)
            for name, padding in ((schema.HISTORY_ITEMS, -1), (schema.HISTORY_EVENTS, -1), (schema.HISTORY_GAPS, 0)):
                moved = np.take_along_axis(changed[name], order, axis=1)
                changed[name] = np.where(is_kept, moved, moved.dtype.type(padding))
        read_positions = np.cumsum(kept, axis=1, dtype=np.int32) - 1
        changed |= {schema.RECORDED_ITEMS: items, schema.RECORDED_EVENTS: inputs[schema.HISTORY_EVENTS]}
        changed[schema.READ_POSITIONS] = np.maximum(read_positions, 0)
        return changed, np.where(read_positions >= 0, labels, schema.PADDING).astype(np.int32)

    def _substituted(
        self, items: np.ndarray, labels: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The items, with a random substitute at the chosen positions: int32 `[batch, length]`."""
        assert self.substitutes is not None
        row, column = np.nonzero(chosen)
        options = self.substitutes[items[row, column]]
        choice = np.floor(rng.random(len(row)) * (options >= 0).sum(axis=1)).astype(np.int64)
        order = np.argsort(options < 0, axis=1, kind="stable")  # padding last
        drawn = options[np.arange(len(row)), order[np.arange(len(row)), choice]] if options.size else options[:, 0]
        in_sequence = (drawn[:, None] == items[row]).any(axis=1) | (drawn[:, None] == labels[row]).any(axis=1)
        usable = (drawn >= 0) & ~in_sequence
        substituted = items.copy()
        substituted[row[usable], column[usable]] = drawn[usable]
        return substituted


def _cropped(
    positions: np.ndarray, lengths: np.ndarray, chance: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """As `Augmentation.crop_and_reorder`, crop alone: the positions and the lengths."""
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
    """Positions with each session of a row shuffled, with probability `chance` for the row. Longer gaps than `longest`
    microseconds begin a new session."""
    real = np.arange(positions.shape[1]) < lengths[:, None]
    when = times[positions]
    is_new = np.ones(positions.shape, np.int64)
    is_new[:, 1:] = (when[:, 1:] - when[:, :-1] > longest) | ~real[:, 1:]
    # in padding, and in rows that are not shuffled, every event is a session of its own
    is_new[rng.random(len(lengths)) >= chance] = 1
    order = np.argsort(np.cumsum(is_new, axis=1) + rng.random(positions.shape), axis=1)
    return np.take_along_axis(positions, order, axis=1)
