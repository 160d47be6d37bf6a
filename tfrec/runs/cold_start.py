"""How a model fares where training has nothing to say: items that it never saw, users without a history."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.evaluation import evaluate_ranking
from tfrec.models.baselines.counting import LastItemText
from tfrec.models.baselines.segment_popularity import NO_SEGMENTS, SegmentPopularity, segments_of
from tfrec.models.family import Ability
from tfrec.models.registry import family_of
from tfrec.retrieval.scorer import Scorer
from tfrec.runs.run import Run

K = 10


class Among:
    """A scorer whose lists hold only the candidates, bool `[num_items]`."""

    def __init__(self, scorer: Scorer, candidates: np.ndarray) -> None:
        self.scorer, self.candidates = scorer, candidates
        self.name, self.num_items = scorer.name, scorer.num_items

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """The scorer's own, −inf for items that are no candidates."""
        return np.where(self.candidates, self.scorer.scores(histories, rows), np.float32(-np.inf))


def cold_slices(scorer: Scorer, dataset: PreparedDataset, run: Run, split: str) -> dict[str, dict[str, Any]]:
    """NDCG@10 on the cold queries of a split, left out of the headline; a slice without a query is left out.

    Returns:
        `cold_items`: `users`, `ndcg@10` over the whole catalogue, and over the items without a training event alone
        `among_cold`, beside the similarity to the last item's text there, `text_among_cold`, and the expectation of a
        random order, `random_among_cold`. `cold_users`: `users` and `ndcg@10`; where the export
        answers them with popular items, that of those, and where `retrieval.segment` is set `by_segment`.
    """
    slices: dict[str, dict[str, Any]] = {}

    def ndcg(scorer: Scorer) -> float:
        options: dict[str, Any] = {"num_items": dataset.num_items, "ks": (K,), "bootstrap": 0, "keep_predictions": 0}
        return evaluate_ranking(scorer, queries, batch_size=run.config.evaluation.batch_size, **options).metrics[
            f"ndcg@{K}"
        ]

    for name in ("cold_items", "cold_users"):
        queries = dataset.queries(split, name)
        if not len(queries.user_ids):
            continue
        slices[name] = {"users": len(queries.user_ids)}
        if name == "cold_users" and family_of(run.kind).can(Ability.GREET_NEWCOMERS, run.config):
            slices[name] |= {key: ndcg(popular) for key, popular in _for_newcomers(dataset, run).items()}
            continue
        slices[name][f"ndcg@{K}"] = ndcg(scorer)
        if name == "cold_items":
            candidates = dataset.items[schema.TRAIN_COUNT].to_numpy() == 0
            slices[name] |= {"items": int(candidates.sum()), "among_cold": ndcg(Among(scorer, candidates))}
            if run.text_vectors is not None:
                text = LastItemText().fit(dataset, run.text_vectors)
                slices[name]["text_among_cold"] = ndcg(Among(text, candidates))
            counts = np.diff(queries.target_offsets)
            slices[name]["random_among_cold"] = float(random_ndcg(counts, int(candidates.sum())).mean())
    return slices


def _for_newcomers(dataset: PreparedDataset, run: Run) -> dict[str, Scorer]:
    """What an export answers people without a history with: the popular items of everybody, and of their segment."""
    found: dict[str, Scorer] = {f"ndcg@{K}": SegmentPopularity(NO_SEGMENTS, run.item_counts, {})}
    if run.segments is not None:
        of = segments_of(dataset, str(run.config.retrieval.segment))
        found["by_segment"] = SegmentPopularity(run.segments, run.item_counts, of)
    return found


def random_ndcg(targets: np.ndarray, candidates: int, k: int = K) -> np.ndarray:
    """Expected NDCG@k of a random order of `candidates` items that hold all targets of a query, int `[queries]`.

    Example:
        >>> random_ndcg(np.array([1, 4]), candidates=4, k=2).round(3).tolist()
        [0.408, 1.0]
    """
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(targets, k) - 1]
    return targets / candidates * gains[: min(k, candidates)].sum() / best
