"""Which of two models of a private training is better, asked of the validation queries with noise."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.privacy.noise_source import NoiseSource, with_noise

MOST_SCORES = 2_000_000_000
"""Limit on the scores of a comparison, on average: about ten seconds for each of the two models."""
_SURE = 1.645
"""Standard deviations of the noise that it exceeds one time in twenty."""


def validation_queries(dataset: PreparedDataset) -> Queries:
    """One query a person, with all of their targets in the validation split.

    The targets that other metrics leave out, because nobody took the item in training, depend on other people; without
    them, one person could change the queries of all the others.
    """
    return dataset.queries(schema.VALID, "all_targets")


def queries_asked(queries: Queries, num_items: int, source: NoiseSource) -> Queries:
    """The queries or, where they are too many, a sample: everybody with the same probability, independently of others.

    Args:
        queries: The result of `validation_queries`.
        num_items: int. Items in the catalogue.
        source: Draws the sample, always the same one.
    """
    asked = MOST_SCORES / (num_items * max(1, len(queries)))  # above 1: all of them
    return queries.take(np.flatnonzero(source.uniform("asked", 0, len(queries)) < asked))


def surely_better(gains: np.ndarray, multiplier: float, source: NoiseSource, number: int = 0) -> bool:
    """Whether the gains of a model over another, summed with noise, are more than noise alone would give.

    Noise alone would be as much one time in twenty. Each person changes the sum by at most 1.

    Args:
        gains: float `[people]`, the NDCG@10 of the model minus that of the other.
        multiplier: float. Standard deviation of the noise on the sum.
        source: Draws the noise.
        number: int. Which of the comparisons of a training this is.
    """
    total = np.clip(gains, -1, 1).sum(keepdims=True)
    noisy = with_noise(total, source.gaussian("selection", number, 1), multiplier)
    return bool(noisy[0] > _SURE * multiplier)
