"""The choice of the score weights of a trained NextItemModel on validation: with its network, or without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.evaluation.significance import paired_difference
from tfrec.evaluation.standing import TRAINED, UNTRAINED, score_weights_words
from tfrec.models.next_item.fading_popularity import half_lives_to_compare
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.search import (
    MAX_QUERIES,
    score_weight_candidates,
    untrained_score_weights,
)
from tfrec.models.next_item.score_weights.weights import ScoreWeights, temporary_score_weights
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import measured, sampled_queries
from tfrec.models.shared.recent_counts import recent_counts
from tfrec.progress import say
from tfrec.training.fit_result import FitResult

STARTS_WITH_HALF_LIFE = (0.0, 4.0)
"""Weights of a popularity bias that fades with time at which searches start."""


class MeasuredWeights(NamedTuple):
    """Score weights, and how good the model is with them.

    Attributes:
        weights: The score weights.
        half_life: That of the popularity bias, in days; None for plain counts.
        metrics: On validation.
        ndcg: float64 `[queries]`, NDCG@10 of each validation query.
    """

    weights: ScoreWeights
    half_life: float | None
    metrics: dict[str, float]
    ndcg: np.ndarray


def balance(result: FitResult, dataset: PreparedDataset, config: RunConfig) -> MeasuredWeights | None:
    """Gives the model of a fit the chosen score weights, and the fit its metrics with them.

    Args:
        result: The fit; changed.
        dataset, config: As for `choose_score_weights`.

    Returns:
        What was chosen; None without validation queries, and where `training.balance` is off.
    """
    if not (config.training.balance and result.metrics_valid):
        return None
    kept, result.score_weights = choose_score_weights(result.model, dataset, config)
    result.metrics_valid = kept.metrics
    return kept


def choose_score_weights(
    model: NextItemModel, dataset: PreparedDataset, config: RunConfig
) -> tuple[MeasuredWeights, dict[str, Any] | None]:
    """Gives the model the score weights that are best on validation.

    The learned score weights and the results of `score_weight_candidates`, which come from a sample of the validation
    queries, are compared by NDCG@10 over all of them. Among equal ones the first is chosen, and the learned ones come
    before all others. This is done for each half-life of the popularity bias (`half_lives_to_compare`). What is best
    then has to be worth its training (`worth_its_training`), or the network is left out.

    Args:
        model: The trained model; its score weights are changed.
        dataset: At least one validation query.
        config: Sections `model`, `training` and `evaluation`.

    Returns:
        What was chosen; and by what comparison with `untrained_score_weights`, for the manifest: None for a model
        without a neighbour memory.
    """
    learned, popularity, queries = ScoreWeights.from_model(model), model.popularity, dataset.queries(schema.VALID)
    half_lives = [] if popularity is None else half_lives_to_compare(dataset, queries, config)
    trained, untrained = [], []
    search: dict[str, Any] = {"exclude_seen": config.evaluation.exclude_seen, "seed": config.training.seed}
    for half_life in half_lives or [None]:
        if half_lives and popularity is not None:
            popularity.remember(recent_counts(dataset.training(), dataset.num_items, half_life))
        starts = (0.0,) if half_life is None else STARTS_WITH_HALF_LIFE
        found = score_weight_candidates(model, queries, popularity=starts, **search)
        trained.append(_best([learned, *found], half_life, model, dataset, config))
        if model.memory is not None:
            found = untrained_score_weights(model, queries, popularity=starts, **search)
            untrained.append(_best(found, half_life, model, dataset, config))
    best = max(trained, key=_ndcg)
    plain = max(untrained, key=_ndcg) if untrained else None
    kept = best if plain is None or worth_its_training(best.ndcg, plain.ndcg) else plain
    if half_lives and popularity is not None:
        popularity.remember(recent_counts(dataset.training(), dataset.num_items, kept.half_life))
    kept.weights.assign_to(model)
    _say_changes(learned, kept)
    return kept, None if plain is None else _comparison(best, plain, kept)


def worth_its_training(trained: np.ndarray, untrained: np.ndarray) -> bool:
    """Whether a trained model is to be preferred to counts and texts alone, by the NDCG@10 of each query, `[queries]`.

    With few queries it has to be ahead by a standard error of the paired differences: what a search finds among few is
    half noise, and what needs no training is right more often. With 2,000 or more it must not be behind by one.
    """
    difference, error = paired_difference(trained, untrained)
    if len(trained) < MAX_QUERIES:
        return error is not None and difference > error
    return error is None or difference >= -error


def _best(
    candidates: Sequence[ScoreWeights],
    half_life: float | None,
    model: NextItemModel,
    dataset: PreparedDataset,
    config: RunConfig,
) -> MeasuredWeights:
    """The candidate with the best NDCG@10 over all validation queries, the first of equal ones."""
    queries, scorer, found = sampled_queries(dataset, config), NextItemScorer(model), []
    for candidate in dict.fromkeys(candidates):
        with temporary_score_weights(model, candidate):
            found.append(MeasuredWeights(candidate, half_life, *measured(scorer, queries, dataset, config)))
    return max(found, key=_ndcg)


def _ndcg(found: MeasuredWeights) -> float:
    return found.metrics["ndcg@10"]


def _comparison(trained: MeasuredWeights, untrained: MeasuredWeights, kept: MeasuredWeights) -> dict[str, Any]:
    """Which of them was kept and why, for the manifest; also said."""
    difference, error = paired_difference(trained.ndcg, untrained.ndcg)
    found = {
        "chosen": TRAINED if kept is trained else UNTRAINED,
        "valid_ndcg@10": {TRAINED: _ndcg(trained), UNTRAINED: _ndcg(untrained)},
        "difference": difference,
        "standard_error": error,
        "queries": len(trained.ndcg),
    }
    say(score_weights_words(found))
    return found


def _say_changes(learned: ScoreWeights, kept: MeasuredWeights) -> None:
    """Says what is not as training learned it."""
    new = asdict(kept.weights)
    changes = [f"{name} {old:.2f} → {new[name]:.2f}" for name, old in asdict(learned).items() if new[name] != old]
    if changes:
        fading = "" if kept.half_life is None else f"; half-life of popularity {kept.half_life:.1f} days"
        say(f"Score weights chosen on validation: {', '.join(changes)}{fading}")
