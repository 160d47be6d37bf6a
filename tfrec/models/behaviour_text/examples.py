"""Training examples of BehaviourTextModel: behaviour texts paired with the items that users took next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

HORIZON = 5
"""At most this many of the events that follow a text become its targets. A choice, not the result of a search."""


@dataclass(frozen=True)
class Examples:
    """Behaviour texts, stored as flat ranges of the training histories, and (text, target item) pairs.

    Attributes:
        rows: int64 `[texts]`, the history that each text renders.
        stops: int64 `[texts]`, flat position just after the text's newest event.
        pair_texts: int64 `[pairs]`, index of the text, ascending; every text has at least one pair.
        pair_items: int32 `[pairs]`, index of the target item.
    """

    rows: np.ndarray
    stops: np.ndarray
    pair_texts: np.ndarray
    pair_items: np.ndarray

    @classmethod
    def sample(cls, histories: Histories, max_texts: int | None, seed: int) -> Examples:
        """One text for every target event that has an event before it, or a random sample of `max_texts` of them.

        A text's target is the event that follows it. If texts are sampled, all targets among the next
        `positions / texts` events (at most 5) count, so that the whole log is still used although only some texts,
        which are expensive to encode, are.

        Args:
            histories: Training histories.
            max_texts: Upper limit on the number of texts; None or 0 for no limit.
            seed: int. Seed of the sample.

        Raises:
            InvalidInput: No user has a target event after another training event.
        """
        row_of = histories.rows
        place = np.arange(len(row_of)) - histories.offsets[row_of]
        stops = np.flatnonzero((place > 0) & histories.is_target)
        if not len(stops):
            raise InvalidInput("No user has a training event and a target after it: nothing to learn from. Add events.")
        horizon = 1
        if max_texts and max_texts < len(stops):
            horizon = min(HORIZON, math.ceil(len(stops) / max_texts))
            stops = np.sort(np.random.default_rng(seed).choice(stops, max_texts, replace=False))
        ahead = stops[:, None] + np.arange(horizon)
        inside = ahead < histories.offsets[row_of[stops] + 1][:, None]
        ahead = np.where(inside, ahead, 0)
        text, column = np.nonzero(inside & histories.is_target[ahead])
        return cls(row_of[stops], stops, text, histories.items[ahead[text, column]])

    def __len__(self) -> int:
        return len(self.rows)

    def one_pair_each(self, rng: np.random.Generator) -> np.ndarray:
        """int64 `[texts]`: for each text, the index of one of its pairs, chosen at random."""
        first = np.searchsorted(self.pair_texts, np.arange(len(self)))
        counts = np.bincount(self.pair_texts, minlength=len(self))
        return first + (rng.random(len(self)) * counts).astype(np.int64)
