"""The search for the score weights of a fitted NextItemModel on validation queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfrec.data.histories import Queries
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.decomposition import ScoreParts
from tfrec.models.next_item.score_weights.weights import ScoreWeights

MAX_QUERIES = 2000
MIN_QUERIES = 50
"""With fewer queries the model's own score weights are kept, however many targets there are: the error of a mean gain
falls with the number of queries. On MovieLens-100K with a global-time split, score weights chosen on 20 or 40 of the
validation queries are worse than the model's own on the rest of them."""
MIN_TARGETS = 100
MAX_SCORES = 40_000_000
"""Limit on queries times items, and so on the memory of the search."""
MAX_ROUNDS = 6
# Values that are tried. The grids are coarse on purpose: finer ones would fit the noise of 2,000 queries.
FACTORS = (0.25, 0.5, 0.7, 1.4, 2.0)
STEPS = (-4.0, -1.5, -0.5, 0.5, 1.5, 4.0)
DECAYS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
DISCOUNTS = (0.0, 0.15, 0.3, 0.45, 0.6)
POPULARITY_STEPS = (-0.5, -0.1, 0.1, 0.3, 0.6, 1.2)
NETWORK_FACTORS = (1.0, 0.5, 0.25, 0.1)
"""Factors on the network's score at which the searches of `score_weight_candidates` start."""


def search_score_weights(
    model: NextItemModel,
    queries: Queries,
    *,
    exclude_seen: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
    rounds: int = MAX_ROUNDS,
) -> ScoreWeights:
    """The score weights with the best NDCG@10 on validation queries. The model itself is not changed.

    Training learns the score weights for the very next event of each sequence, with the sequence's own pairs taken out
    of the neighbour memory. The model is used differently: its lists are for a later window, after the longest history
    that it can read. So the weights are searched again, one at a time (coordinate ascent on the metric itself: Metzler
    & Croft 2007, https://doi.org/10.1007/s10791-006-9019-z). A change is accepted only if it gains more than one paired
    standard error, so that a small validation set is not overfitted.

    Args:
        model: The fitted model.
        queries: Validation queries. At most 2,000 are used, drawn with `seed`, and fewer for a large catalogue, so that
            there are at most 40 million scores. There is no search with fewer than 50 queries or 100 targets, and so,
            at one target a query, none for more than 400,000 items.
        exclude_seen: bool. Whether seen items are left out of the ranking.
        seed: int. Seed of the draw.
        names: Names of the score weights to search, as in `ScoreWeights`; None for all that the model has.
        rounds: int. Maximum number of passes over these weights.

    Returns:
        The best score weights; the model's own if no change gains enough.
    """
    parts, start = sampled_score_parts(model, queries, exclude_seen, seed), ScoreWeights.from_model(model)
    return start if parts is None else coordinate_ascent(parts, start, names, rounds)


def score_weight_candidates(
    model: NextItemModel,
    queries: Queries,
    *,
    exclude_seen: bool = False,
    seed: int = 0,
    popularity: Sequence[float] = (0.0,),
) -> list[ScoreWeights]:
    """The distinct results of searches that start with different factors on the network's score.

    With little training data the network's scores are far too large, and then no change of a single weight gains
    anything. The candidates should also be compared on other queries than the ones of the search.

    Args:
        model, queries, exclude_seen, seed: As for `search_score_weights`.
        popularity: What is added to the weight of the popularity bias at the start of a search; each value is tried
            with each factor. A little of it may hurt where much of it helps.

    Returns:
        The score weights; the model's own alone if there is no search.
    """
    parts, current = sampled_score_parts(model, queries, exclude_seen, seed), ScoreWeights.from_model(model)
    if parts is None:
        return [current]
    starts = (
        replace(current, cosine=current.cosine * factor, popularity=current.popularity + added)
        for added in popularity
        for factor in NETWORK_FACTORS
    )
    return list(dict.fromkeys(coordinate_ascent(parts, start, None, MAX_ROUNDS) for start in starts))


def untrained_score_weights(
    model: NextItemModel,
    queries: Queries,
    *,
    exclude_seen: bool = False,
    seed: int = 0,
    popularity: Sequence[float] = (0.0,),
) -> list[ScoreWeights]:
    """The distinct results of searches among score weights that leave the network out.

    They start at `ScoreWeights.without_network`. As a change has to gain more than a standard error, they end near it
    where there are few queries, and there where there is no search.

    Args:
        model, queries, exclude_seen, seed, popularity: As for `score_weight_candidates`.
    """
    parts = sampled_score_parts(model, queries, exclude_seen, seed)
    start = ScoreWeights.from_model(model).without_network()
    if parts is None:
        return [start]
    names = [name for name in parts.names if name != "cosine"]
    starts = (replace(start, popularity=start.popularity + added) for added in popularity)
    return list(dict.fromkeys(coordinate_ascent(parts, each, names, MAX_ROUNDS) for each in starts))


def sampled_score_parts(model: NextItemModel, queries: Queries, exclude_seen: bool, seed: int) -> ScoreParts | None:
    """The parts of the scores of the sampled queries; None if there are too few queries or targets for a search."""
    count = min(len(queries), MAX_QUERIES, MAX_SCORES // model.num_items)
    rows = np.sort(np.random.default_rng(seed).choice(len(queries), count, replace=False))
    targets = int((queries.target_offsets[rows + 1] - queries.target_offsets[rows]).sum())
    if count < MIN_QUERIES or targets < MIN_TARGETS:
        return None
    rows = rows[np.argsort(queries.history.lengths[rows], kind="stable")]  # so that little of a block is padding
    return ScoreParts(model, queries, rows, exclude_seen)


def coordinate_ascent(
    parts: ScoreParts, current: ScoreWeights, names: Sequence[str] | None, rounds: int
) -> ScoreWeights:
    """Changes one weight at a time; a change is accepted if it gains more than one paired standard error."""
    best = parts.ndcg(current)
    searched = [name for name in parts.names if names is None or name in names]
    for _ in range(rounds):
        before = current
        for name in searched:
            for changed in _trial_weights(current, name):
                ndcg = parts.ndcg(changed)
                gain = ndcg - best
                if gain.mean() > gain.std() / np.sqrt(len(gain)):
                    current, best = changed, ndcg
        if current == before:
            break
    return current


def _trial_weights(start: ScoreWeights, name: str) -> list[ScoreWeights]:
    """The score weights that differ from `start` in the weight `name` alone, one for each value that is tried."""
    value = getattr(start, name)
    if name in ("decay", "discount"):
        values = [other for other in (DECAYS if name == "decay" else DISCOUNTS) if not np.isclose(other, value)]
    elif name in ("cosine", "weight", "text_weight"):
        values = [value * factor for factor in FACTORS]
    elif name == "popularity":
        values = [max(value + step, 0.0) for step in POPULARITY_STEPS]
    else:
        values = [value + step for step in STEPS]
    return [replace(start, **{name: changed}) for changed in values]
