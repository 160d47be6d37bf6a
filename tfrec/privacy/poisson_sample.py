"""Poisson samples: in each step everybody is with the same probability, independently of all others."""

from __future__ import annotations

import numpy as np

from tfrec.privacy.noise_source import NoiseSource


class PoissonSample:
    """Draws people for the steps of a private training, and one example of each of them.

    Of a person with several examples, one is drawn each time: whatever the length of a history, its person adds one
    clipped gradient to a step. The number of people in a step varies, and nobody is left out because a batch is full,
    as that would not be Poisson sampling.

    Args:
        people: int `[examples]`, whose example each is.
        sampling: float in (0, 1]. The probability of each person.
        source: Draws people and examples, by the number of the step.
    """

    def __init__(self, people: np.ndarray, sampling: float, source: NoiseSource) -> None:
        self.sampling, self._source = sampling, source
        self._order = np.argsort(people, kind="stable")
        _, self._first, self._count = np.unique(people[self._order], return_index=True, return_counts=True)

    def __len__(self) -> int:
        """Number of people with an example."""
        return len(self._first)

    def examples(self, step: int) -> np.ndarray:
        """The examples of a step, int64 `[people in it]`."""
        drawn = np.flatnonzero(self._source.uniform("people", step, len(self)) < self.sampling)
        place = self._source.uniform("examples", step, len(self))[drawn] * self._count[drawn]
        examples: np.ndarray = self._order[self._first[drawn] + place.astype(np.int64)]
        return examples
