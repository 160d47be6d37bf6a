"""The validation metrics of a NextItemModel during training, and the choice of its score weights at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries, row_numbers
from tfrec.evaluation import evaluate_ranking
from tfrec.models.next_item.fading_popularity import half_lives_to_compare
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.search import score_weight_candidates, search_score_weights
from tfrec.models.next_item.score_weights.weights import ScoreWeights, temporary_score_weights
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.shared.recent_counts import recent_counts
from tfrec.progress import say

MAX_SCORES = 2_000_000_000
"""Limit on the scores of one validation: about ten seconds. Larger sets of queries, such as 100,000 over 20,000 items,
are sampled."""

STARTS_WITH_HALF_LIFE = (0.0, 4.0)
"""Weights of a popularity bias that fades with time at which searches start."""

_SEARCHED_AFTER_EPOCHS = ("cosine", "newest", "others")
"""The score weights that matter most, which are searched in every validation."""

_MEMORY_WEIGHTS = ("weight", "text_weight")
"""Those that are searched too where training does not learn them."""


def validation(model: NextItemModel, dataset: PreparedDataset, config: RunConfig) -> Callable[[], dict[str, float]]:
    """A function that returns the metrics of the model on the validation queries; an empty dict without queries.

    Epochs are compared by NDCG@10 under searched score weights, as these are also chosen after training. Only the most
    important ones are searched here. On Amazon Scientific the factor on the network falls to a quarter, and without the
    search training would stop too early.

    Args:
        model: The model, which may be trained further between calls.
        dataset: The validation queries.
        config: Sections `training` (`balance`, `monitor`, `seed`) and `evaluation`.

    Returns:
        A function without arguments. Its metrics are ndcg@10 and recall@10, and with `training.monitor=loss` also loss.
    """
    queries = dataset.queries(schema.VALID).sample(MAX_SCORES // dataset.num_items, config.training.seed)
    exclude_seen = config.evaluation.exclude_seen
    if not len(queries.user_ids):
        return dict
    scorer = NextItemScorer(model)
    options, searched = config.training, tuple[str, ...]()
    if options.balance and options.monitor != "loss":
        searched = _SEARCHED_AFTER_EPOCHS + (() if options.memory_in_loss else _MEMORY_WEIGHTS)

    def validate() -> dict[str, float]:
        scorer.refresh()
        weights = ScoreWeights.from_model(model)
        if searched:
            weights = search_score_weights(
                model, queries, exclude_seen=exclude_seen, seed=config.training.seed, names=searched, rounds=1
            )
        with temporary_score_weights(model, weights):
            result = evaluate_ranking(
                scorer,
                queries,
                num_items=dataset.num_items,
                exclude_seen=exclude_seen,
                ks=(10,),
                bootstrap=0,
                batch_size=config.evaluation.batch_size,
                keep_predictions=0,
            )
        metrics = {name: float(result.metrics[name]) for name in ("ndcg@10", "recall@10")}
        if config.training.monitor == "loss":
            metrics["loss"] = _cross_entropy(scorer, queries, config.evaluation.batch_size)
        return metrics

    return validate


def _cross_entropy(scorer: NextItemScorer, queries: Queries, batch_size: int) -> float:
    """Mean negative log-probability of the targets under a softmax over the catalogue."""
    total, order = 0.0, np.argsort(queries.history.lengths, kind="stable")  # so that little of a batch is padding
    for start in range(0, len(queries), batch_size):
        rows = order[start : start + batch_size]
        logits = scorer.scores(queries.history, rows).astype(np.float64)
        top = logits.max(axis=1, keepdims=True)
        log_sum = (top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))[:, 0]
        flat, offsets = queries.targets_of(rows)
        row = row_numbers(np.diff(offsets))
        total += float((log_sum[row] - logits[row, queries.target_items[flat]]).sum())
    return total / max(1, len(queries.target_items))


def choose_score_weights(
    model: NextItemModel, dataset: PreparedDataset, config: RunConfig, metrics: dict[str, float]
) -> dict[str, float]:
    """Gives the model the score weights that are best on validation, and returns its metrics with them.

    The learned score weights and the results of `score_weight_candidates`, which come from a sample of the validation
    queries, are compared by NDCG@10 over all of them. Among equal ones the first is chosen, and the learned ones come
    before all others. This is done for each half-life of the popularity bias (`half_lives_to_compare`).

    Args:
        model: The trained model; its score weights are changed.
        dataset: The validation queries.
        config: Sections `model`, `training` and `evaluation`.
        metrics: The metrics of the model so far, returned if there are no other score weights to compare.
    """
    learned, half_life, popularity = ScoreWeights.from_model(model), None, model.popularity
    half_lives = [] if popularity is None else half_lives_to_compare(dataset, dataset.queries(schema.VALID), config)
    if half_lives and popularity is not None:
        choices = []
        for half_life in half_lives:
            popularity.remember(recent_counts(dataset.training(), dataset.num_items, half_life))
            starts = (0.0,) if half_life is None else STARTS_WITH_HALF_LIFE
            choices.append((half_life, *_best_score_weights(model, dataset, config, metrics, starts)))
        half_life, best, metrics = max(choices, key=lambda choice: choice[2]["ndcg@10"])
        popularity.remember(recent_counts(dataset.training(), dataset.num_items, half_life))
    else:
        best, metrics = _best_score_weights(model, dataset, config, metrics)
    best.assign_to(model)
    changed = {name: (old, new) for name, old in asdict(learned).items() if (new := getattr(best, name)) != old}
    if changed:
        changes = ", ".join(f"{name} {old:.2f} → {new:.2f}" for name, (old, new) in changed.items())
        fading = "" if half_life is None else f"; half-life of popularity {half_life:.1f} days"
        say(f"Score weights chosen on validation: {changes}{fading}")
    return metrics


def _best_score_weights(
    model: NextItemModel,
    dataset: PreparedDataset,
    config: RunConfig,
    metrics: dict[str, float],
    popularity: Sequence[float] = (0.0,),
) -> tuple[ScoreWeights, dict[str, float]]:
    """The best score weights and the metrics of the model with them; the model is not changed.

    Args:
        model, dataset, config, metrics: As for `choose_score_weights`.
        popularity: As for `score_weight_candidates`.
    """
    queries, seed = dataset.queries(schema.VALID), config.training.seed
    learned = best = ScoreWeights.from_model(model)
    candidates = score_weight_candidates(
        model, queries, exclude_seen=config.evaluation.exclude_seen, seed=seed, popularity=popularity
    )
    candidates = [candidate for candidate in candidates if candidate != learned]
    if not candidates:
        return learned, metrics
    validate = validation(model, dataset, config.with_values(["training.balance=false"]))
    metrics = validate()
    for candidate in candidates:
        with temporary_score_weights(model, candidate):
            candidate_metrics = validate()
        if candidate_metrics["ndcg@10"] > metrics["ndcg@10"]:
            best, metrics = candidate, candidate_metrics
    return best, metrics
