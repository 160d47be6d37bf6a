"""Which of the models of a private training is best, asked of the validation queries with noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import MAX_SCORES, measured
from tfrec.privacy.noise_source import NoiseSource, with_noise


def validation_queries(dataset: PreparedDataset) -> Queries:
    """One query a person, with all of their targets in the validation split.

    The targets that other metrics leave out, because nobody took the item in training, depend on other people; without
    them, one person could change the queries of all the others.
    """
    return dataset.queries(schema.VALID, "all_targets")


def best_model(
    start: NextItemModel,
    others: Sequence[NextItemModel],
    queries: Queries,
    dataset: PreparedDataset,
    config: RunConfig,
    multiplier: float | None,
    source: NoiseSource,
    number: int = 0,
) -> NextItemModel:
    """The model with the highest sum over people of the gain in NDCG@10 over the start, with noise; else the start.

    Each person changes each sum by at most 1. Where there are too many queries, everybody is left out with the same
    probability, independently of all others.

    Args:
        start: The model that is kept when no other is better.
        others: The models that it is compared with.
        queries: The result of `validation_queries`.
        dataset: The catalogue.
        config: Section `evaluation`.
        multiplier: float. Standard deviation of the noise on each of the sums. None asks nothing: the last of the
            others is best.
        source: Draws the noise.
        number: int. Which of the selections of a training this is.
    """
    if not others or multiplier is None:
        return others[-1] if others else start
    asked = MAX_SCORES / (dataset.num_items * len(queries))  # above 1: all of them
    some = queries.take(np.flatnonzero(source.uniform("asked", 0, len(queries)) < asked))
    before = ndcg(start, some, dataset, config)
    sums = np.array([np.clip(ndcg(other, some, dataset, config) - before, -1, 1).sum() for other in others])
    gains = with_noise(sums, source.gaussian("selection", number, len(sums)), multiplier)
    return others[int(gains.argmax())] if gains.max() > 0 else start


def ndcg(model: NextItemModel, queries: Queries, dataset: PreparedDataset, config: RunConfig) -> np.ndarray:
    """NDCG@10 of each query, float `[queries]`."""
    return measured(NextItemScorer(model), queries, dataset, config)[1]
