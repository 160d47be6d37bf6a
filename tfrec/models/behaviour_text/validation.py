"""Validation of a BehaviourTextModel while it is fitted: on what was read before, or on strings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import evaluate_ranking
from tfrec.models.behaviour_text.evaluate import judge, mlp_probabilities, probabilities
from tfrec.models.behaviour_text.heads import BEHAVIOUR, NAMED
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.models.behaviour_text.scorer import BehaviourTextScorer
from tfrec.retrieval.scorer import Scorer
from tfrec.training.sampled_negatives import Impressions

MOST_QUERIES = 2000
"""Most validation queries read after each epoch; a seeded sample of more."""


class Validation:
    """The metrics that choose the epoch: NDCG@10, recall@10 and loss of the softmax head, AUC and loss of the sigmoid.

    Args:
        model: A BehaviourTextModel.
        dataset: Its validation queries; without any, there are no metrics.
        config: Sections `encoder`, `evaluation` and `training`.
    """

    def __init__(self, model: BehaviourTextModel, dataset: PreparedDataset, config: RunConfig) -> None:
        self.model, self.dataset, self.config = model, dataset, config
        self.queries = dataset.queries(schema.VALID).sample(MOST_QUERIES, config.training.seed)

    @property
    def monitor(self) -> str:
        """The metric that chooses."""
        if self.config.training.monitor == "loss":
            return "loss"
        return "auc" if self.model.head_kind == "sigmoid" else "ndcg@10"

    def of_kept(self, kept: dict[str, np.ndarray]) -> dict[str, float]:
        """Metrics of the head on what was read before.

        Args:
            kept: Vectors, float32 `[n, dim]`, "valid" of the queries and "items" of the catalogue, and "valid_named",
                int32 `[n, events]`.
        """
        if self.model.head_kind == "softmax":
            return self._ranking(_KeptScorer(self.model, kept))
        return self._pairs(lambda pairs: mlp_probabilities(self.model, kept["valid"], kept["items"], pairs))

    def of_model(self) -> dict[str, float]:
        """Metrics of the whole model on strings."""
        if self.model.head_kind == "softmax":
            size = self.config.encoder.batch_size
            return self._ranking(BehaviourTextScorer(self.model, self.dataset.texts, self.dataset.event_kinds, size))
        return self._pairs(lambda pairs: probabilities(self.model, self.queries.history, pairs, self.dataset))

    def _pairs(self, judged: Callable[[Impressions], np.ndarray]) -> dict[str, float]:
        found = judge(self.queries, self.dataset, self.config, judged)
        return {"auc": found["auc"], "log_loss": found["log_loss"], "loss": found["log_loss"]} if found else {}

    def _ranking(self, scorer: Scorer) -> dict[str, float]:
        if not len(self.queries):
            return {}
        watched = _Watched(scorer, self.queries)
        result = evaluate_ranking(
            watched,
            self.queries,
            num_items=self.dataset.num_items,
            exclude_seen=self.config.evaluation.exclude_seen,
            ks=(10,),
            bootstrap=0,
            batch_size=self.config.evaluation.batch_size,
            keep_predictions=0,
        )
        return {**{name: float(result.metrics[name]) for name in ("ndcg@10", "recall@10")}, "loss": watched.loss}


class _KeptScorer:
    """The softmax head over what was read in the validation queries."""

    name = "behaviour-text"

    def __init__(self, model: BehaviourTextModel, kept: dict[str, np.ndarray]) -> None:
        self.model, self.num_items = model.mlp, model.num_items
        self._inputs = {BEHAVIOUR: kept["valid"], NAMED: kept["valid_named"]}

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`; `rows` are those of the validation queries."""
        return self.model({name: table[rows] for name, table in self._inputs.items()}, training=False).numpy()


class _Watched:
    """A scorer of probabilities that also sums up how likely the targets were."""

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
        for row, found in zip(rows, scores, strict=True):
            targets = self._queries.target_items[offsets[row] : offsets[row + 1]]
            self._total -= float(np.log(np.maximum(found[targets], 1e-30)).sum())
        return scores
