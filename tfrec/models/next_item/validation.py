"""The validation metrics of a NextItemModel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries, row_numbers
from tfrec.evaluation import evaluate_ranking
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.search import search_score_weights
from tfrec.models.next_item.score_weights.weights import ScoreWeights, temporary_score_weights
from tfrec.models.next_item.scorer import NextItemScorer

MAX_SCORES = 2_000_000_000
"""Limit on the scores of one validation: about ten seconds. Larger sets of queries, such as 100,000 over 20,000 items,
are sampled."""

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
    queries = sampled_queries(dataset, config)
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
            return measured(scorer, queries, dataset, config)[0]

    return validate


def sampled_queries(dataset: PreparedDataset, config: RunConfig) -> Queries:
    """The validation queries, or a sample of them where all would have more than `MAX_SCORES` scores."""
    return dataset.queries(schema.VALID).sample(MAX_SCORES // dataset.num_items, config.training.seed)


def measured(
    scorer: NextItemScorer, queries: Queries, dataset: PreparedDataset, config: RunConfig
) -> tuple[dict[str, float], np.ndarray]:
    """The metrics of a model on validation queries, as of `validation`, and the NDCG@10 of each query, float64.

    Args:
        scorer: Scores with the current weights of the model; of its item vectors it has those of the last `refresh`.
        queries: At least one.
        dataset: The catalogue.
        config: Sections `training` (`monitor`) and `evaluation`.
    """
    result = evaluate_ranking(
        scorer,
        queries,
        num_items=dataset.num_items,
        exclude_seen=config.evaluation.exclude_seen,
        ks=(10,),
        bootstrap=0,
        batch_size=config.evaluation.batch_size,
        keep_predictions=0,
    )
    metrics = {name: float(result.metrics[name]) for name in ("ndcg@10", "recall@10")}
    if config.training.monitor == "loss":
        metrics["loss"] = _cross_entropy(scorer, queries, config.evaluation.batch_size)
    return metrics, result.per_user["ndcg@10"].to_numpy()


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
