"""Which of two models of a private training is better, asked of the validation queries with noise."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import MAX_SCORES, measured
from tfrec.privacy.noise_source import NoiseSource, with_noise

_SURE = 1.645
"""Standard deviations of the noise that it exceeds one time in twenty."""


def validation_queries(dataset: PreparedDataset) -> Queries:
    """One query a person, with all of their targets in the validation split.

    The targets that other metrics leave out, because nobody took the item in training, depend on other people; without
    them, one person could change the queries of all the others.
    """
    return dataset.queries(schema.VALID, "all_targets")


def surely_better(
    model: NextItemModel,
    other: NextItemModel,
    queries: Queries,
    dataset: PreparedDataset,
    config: RunConfig,
    multiplier: float | None,
    source: NoiseSource,
    number: int = 0,
) -> bool:
    """Whether a model gains more NDCG@10 over another, summed over people and with noise, than noise alone would.

    Noise alone would find so one time in twenty. Each person changes the sum by at most 1. Where there are too many
    queries, everybody is left out with the same probability, independently of all others.

    Args:
        model: The model that has to be better.
        other: The model that it is compared with.
        queries: The result of `validation_queries`.
        dataset: The catalogue.
        config: Section `evaluation`.
        multiplier: float. Standard deviation of the noise on the sum. None asks nothing: it is not better.
        source: Draws the noise.
        number: int. Which of the comparisons of a training this is.
    """
    if multiplier is None:
        return False
    asked = MAX_SCORES / (dataset.num_items * len(queries))  # above 1: all of them
    some = queries.take(np.flatnonzero(source.uniform("asked", 0, len(queries)) < asked))
    gains = np.clip(ndcg(model, some, dataset, config) - ndcg(other, some, dataset, config), -1, 1)
    noisy = with_noise(gains.sum(keepdims=True), source.gaussian("selection", number, 1), multiplier)
    return bool(noisy[0] > _SURE * multiplier)


def ndcg(model: NextItemModel, queries: Queries, dataset: PreparedDataset, config: RunConfig) -> np.ndarray:
    """NDCG@10 of each query, float `[queries]`."""
    return measured(NextItemScorer(model), queries, dataset, config)[1]
