"""What BehaviourTextModel learns from: behaviour texts, what each person did next, and sampled negatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

HORIZON = 5
"""How many events after a text may at most be its targets."""


@dataclass(frozen=True)
class Examples:
    """Behaviour texts as flat ranges of the training histories, and (text, target item) pairs.

    Attributes:
        rows: int64 `[texts]`, row of the histories. stops: int64 `[texts]`, flat position one after the text's newest
            event.
        pair_texts: int64 `[pairs]`, ascending; every text has a pair. pair_items: int32 `[pairs]`.
    """

    rows: np.ndarray
    stops: np.ndarray
    pair_texts: np.ndarray
    pair_items: np.ndarray

    @classmethod
    def sample(cls, histories: Histories, max_texts: int | None, seed: int) -> Examples:
        """Every position with an event before it and a target at it, or a seeded sample of `max_texts` of them.

        A text's target is the event that follows it. In a sample, the targets are those among the next `positions /
        texts` events (at most 5), so that a cap on the texts, which are costly to read, still uses the whole log.

        Raises:
            InvalidInput: no user has two training events with a target behind.
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
        """int64 `[texts]`: for each text one of its pairs, drawn at random."""
        first = np.searchsorted(self.pair_texts, np.arange(len(self)))
        counts = np.bincount(self.pair_texts, minlength=len(self))
        return first + (rng.random(len(self)) * counts).astype(np.int64)
