"""What a fit of a NextItemModel is measured by, and the balance of its parts at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries, row_numbers
from tfrec.evaluation import evaluate_ranking
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.search import balance, balances
from tfrec.models.next_item.score_weights.weights import Balance, balanced
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.progress import say

MOST_SCORES = 2_000_000_000
"""Of a validation in the fit: about ten seconds. Queries beyond that, as 100,000 over 20,000 items, are not asked."""

_TELLING = ("cosine", "newest", "others")
"""Parts that are balanced at every validation."""


def validation(model: NextItemModel, dataset: PreparedDataset, config: RunConfig) -> Callable[[], dict[str, float]]:
    """What measures NDCG, recall and the loss on the validation queries; nothing when there are none.

    What the epochs are compared by is what the fit will end with, balanced parts, but only the most telling are moved:
    on Amazon Scientific the network's own share falls to a quarter, and without that the fit would stop too early.
    """
    queries = dataset.queries(schema.VALID).sample(MOST_SCORES // dataset.num_items, config.training.seed)
    masked = config.evaluation.exclude_seen
    if not len(queries.user_ids):
        return dict
    scorer = NextItemScorer(model)
    moved = _TELLING if config.training.balance and config.training.monitor != "loss" else ()

    def validate() -> dict[str, float]:
        scorer.refresh()
        found = balance(
            model, queries, exclude_seen=masked, seed=config.training.seed, names=moved, rounds=int(bool(moved))
        )
        with balanced(model, found):
            result = evaluate_ranking(
                scorer,
                queries,
                num_items=dataset.num_items,
                exclude_seen=masked,
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


def finally_balanced(
    model: NextItemModel, dataset: PreparedDataset, config: RunConfig, metrics: dict[str, float]
) -> dict[str, float]:
    """Balances all parts of the chosen model; returns its metrics then.

    Of what `balances` finds with some of the validation queries, and the strengths learnt, those are kept whose NDCG@10
    over all of them is best; of equal ones the first.
    """
    queries, masked, seed = dataset.queries(schema.VALID), config.evaluation.exclude_seen, config.training.seed
    before = best = Balance.of(model)
    found = [one for one in balances(model, queries, exclude_seen=masked, seed=seed) if one != before]
    if not found:
        return metrics
    validate = validation(model, dataset, config.with_values(["training.balance=false"]))
    metrics = validate()
    for one in found:
        with balanced(model, one):
            measured = validate()
        if measured["ndcg@10"] > metrics["ndcg@10"]:
            best, metrics = one, measured
    best.put(model)
    moved = {name: (old, new) for name, old in asdict(before).items() if (new := getattr(best, name)) != old}
    if moved:
        told = ", ".join(f"{name} {old:.2f} → {new:.2f}" for name, (old, new) in moved.items())
        say(f"Balanced on validation: {told}")
    return metrics
