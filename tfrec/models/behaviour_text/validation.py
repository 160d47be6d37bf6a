"""Validation of a BehaviourTextModel during the fit: on encoded texts, or on the texts themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import RankingResult, evaluate_ranking
from tfrec.models.behaviour_text.evaluate import mlp_probabilities, probabilities, sampled_metrics
from tfrec.models.behaviour_text.heads import BEHAVIOUR, NAMED
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.models.behaviour_text.scorer import BehaviourTextScorer
from tfrec.models.behaviour_text.transitions import SHARES
from tfrec.retrieval.scorer import Scorer
from tfrec.training.sampled_negatives import Impressions

MOST_QUERIES = 2000
"""Limit on the queries validated after each epoch; if there are more, a fixed random sample is used."""


class Validation:
    """Computes the metrics that select the best epoch.

    These are NDCG@10, recall@10 and loss for the softmax head, AUC and loss for the sigmoid head.

    Args:
        model: The model to validate.
        dataset: Provides the validation queries; without any, there are no metrics.
        config: Sections `encoder`, `evaluation` and `training`.
    """

    def __init__(self, model: BehaviourTextModel, dataset: PreparedDataset, config: RunConfig) -> None:
        self.model, self.dataset, self.config = model, dataset, config
        self.queries = dataset.queries(schema.VALID).sample(MOST_QUERIES, config.training.seed)

    @property
    def monitor(self) -> str:
        """Name of the metric that selects the best epoch."""
        if self.config.training.monitor == "loss":
            return "loss"
        return "auc" if self.model.head_kind == "sigmoid" else "ndcg@10"

    def metrics_of_encoded(self, encoded: dict[str, np.ndarray]) -> dict[str, float]:
        """Metrics of the head on texts that are already encoded; chooses the share of the counts (`Transitions`).

        Args:
            encoded: Vectors, float32 `[n, dim]`, of the queries ("valid") and of the catalogue ("items"), and the items
                named in the queries' texts, int32 `[n, events]` ("valid_named").
        """
        if self.model.head_kind == "softmax":
            scorer = EncodedScorer(self.model, encoded["valid"], encoded["valid_named"])
            return self._with_best_share(lambda: self._ranking_metrics(scorer))
        return self._pair_metrics(
            lambda pairs: mlp_probabilities(self.model, encoded["valid"], encoded["items"], pairs)
        )

    def metrics_of_model(self) -> dict[str, float]:
        """Metrics of the full model on texts."""
        if self.model.head_kind == "softmax":
            size = self.config.encoder.batch_size
            scorer = BehaviourTextScorer(self.model, self.dataset.texts, self.dataset.event_kinds, size)
            return self._ranking_metrics(scorer)
        return self._pair_metrics(lambda pairs: probabilities(self.model, self.queries.history, pairs, self.dataset))

    def _with_best_share(self, metrics: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The metrics with the share of the counts that is best for them, which the model keeps."""
        counts = self.model.transitions
        if counts is None or not len(self.queries):
            return metrics()
        found = {}
        for share in SHARES:
            counts.share.assign(share)
            found[share] = metrics()
        sign = -1 if self.monitor == "loss" else 1
        best = max(SHARES, key=lambda share: sign * found[share][self.monitor])
        counts.share.assign(best)
        return found[best]

    def _pair_metrics(self, predict: Callable[[Impressions], np.ndarray]) -> dict[str, float]:
        metrics = sampled_metrics(self.queries, self.dataset, self.config, predict)
        if not metrics:
            return {}
        return {"auc": metrics["auc"], "log_loss": metrics["log_loss"], "loss": metrics["log_loss"]}

    def _ranking_metrics(self, scorer: Scorer) -> dict[str, float]:
        if not len(self.queries):
            return {}
        scorer_with_loss = _ScorerWithLoss(scorer, self.queries)
        result = ranked(scorer_with_loss, self.queries, self.dataset, self.config)
        return {
            **{name: float(result.metrics[name]) for name in ("ndcg@10", "recall@10")},
            "loss": scorer_with_loss.loss,
        }


def ranked(scorer: Scorer, queries: Queries, dataset: PreparedDataset, config: RunConfig) -> RankingResult:
    """The lists of ten of a scorer for validation queries, measured as section `evaluation` says."""
    return evaluate_ranking(
        scorer,
        queries,
        num_items=dataset.num_items,
        exclude_seen=config.evaluation.exclude_seen,
        ks=(10,),
        bootstrap=0,
        batch_size=config.evaluation.batch_size,
        keep_predictions=0,
    )


class EncodedScorer:
    """The softmax head on encoded behaviour texts, one a query.

    Args:
        model: A BehaviourTextModel with the softmax head.
        vectors: float32 `[queries, dim]`, the encoded texts.
        named: int32 `[queries, events]`, the items named in them.
    """

    name = "behaviour-text"

    def __init__(self, model: BehaviourTextModel, vectors: np.ndarray, named: np.ndarray) -> None:
        self.model, self.num_items = model.mlp, model.num_items
        self._inputs = {BEHAVIOUR: vectors, NAMED: named}

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`; `rows` are rows of the queries."""
        return self.model({name: table[rows] for name, table in self._inputs.items()}, training=False).numpy()


class _ScorerWithLoss:
    """Passes on a scorer's probabilities and accumulates the log loss of the targets."""

    def __init__(self, scorer: Scorer, queries: Queries) -> None:
        self.name, self.num_items = scorer.name, scorer.num_items
        self._scorer, self._queries = scorer, queries
        self._total = 0.0

    @property
    def loss(self) -> float:
        """Mean negative log-probability of the targets."""
        return self._total / max(1, len(self._queries.target_items))

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        scores = self._scorer.scores(histories, rows)
        offsets = self._queries.target_offsets
        for row, probabilities_of_row in zip(rows, scores, strict=True):
            targets = self._queries.target_items[offsets[row] : offsets[row + 1]]
            self._total -= float(np.log(np.maximum(probabilities_of_row[targets], 1e-30)).sum())
        return scores
