"""Cold-start evaluation: items without training events, and users without a history."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.evaluation import evaluate_ranking
from tfrec.models.baselines.counting import LastItemText
from tfrec.models.baselines.segment_popularity import NO_SEGMENTS, SegmentPopularity, segments_of
from tfrec.models.family import Ability
from tfrec.models.registry import family_of
from tfrec.retrieval.items_to_recommend import CandidateScorer, among, items_to_recommend
from tfrec.retrieval.scorer import Scorer
from tfrec.runs.run import Run

K = 10
"""Length of the evaluated lists."""


def cold_slices(scorer: Scorer, dataset: PreparedDataset, run: Run, split: str) -> dict[str, dict[str, Any]]:
    """NDCG@10 on the cold-start queries of a split, which the headline metrics leave out.

    Args:
        scorer: The run's scorer.
        dataset: Provides the queries.
        run: The evaluated run.
        split: "valid" or "test".

    Returns:
        Up to two slices; a slice without queries is left out.

        `cold_items`: `users`; `ndcg@10` over the whole catalogue; `items`, the number of items without training events;
        `among_cold`, NDCG@10 among these items only; and for comparison, on the same items, `text_among_cold` of the
        text baseline and `random_among_cold`, the expected value of a random order.

        `cold_users`: `users` and `ndcg@10`. If the export recommends popular items to these users, `ndcg@10` is that of
        the popular items, and with `retrieval.segment`, `by_segment` is that of the items popular in their segment.
    """
    slices: dict[str, dict[str, Any]] = {}

    def ndcg(scorer: Scorer) -> float:
        options: dict[str, Any] = {"num_items": dataset.num_items, "ks": (K,), "bootstrap": 0, "keep_predictions": 0}
        return evaluate_ranking(scorer, queries, batch_size=run.config.evaluation.batch_size, **options).metrics[
            f"ndcg@{K}"
        ]

    allowed = items_to_recommend(run.config, dataset.items)
    for name in ("cold_items", "cold_users"):
        queries = dataset.queries(split, name).with_targets_among(allowed)
        queries = queries.sample(run.config.evaluation.most_users, seed=0)
        if not len(queries.user_ids):
            continue
        slices[name] = {"users": len(queries.user_ids)}
        if name == "cold_users" and family_of(run.kind).can(Ability.GREET_NEWCOMERS, run.config):
            slices[name] |= {
                key: ndcg(among(popular, allowed)) for key, popular in _newcomer_scorers(dataset, run).items()
            }
            continue
        slices[name][f"ndcg@{K}"] = ndcg(scorer)
        if name == "cold_items":
            candidates = dataset.items[schema.TRAIN_COUNT].to_numpy() == 0
            candidates = candidates if allowed is None else candidates & allowed
            slices[name] |= {"items": int(candidates.sum()), "among_cold": ndcg(CandidateScorer(scorer, candidates))}
            if run.text_vectors is not None:
                text = LastItemText().fit(dataset, run.text_vectors)
                slices[name]["text_among_cold"] = ndcg(CandidateScorer(text, candidates))
            counts = np.diff(queries.target_offsets)
            slices[name]["random_among_cold"] = float(random_ndcg(counts, int(candidates.sum())).mean())
    return slices


def _newcomer_scorers(dataset: PreparedDataset, run: Run) -> dict[str, Scorer]:
    """The scorers that an export uses for users without a history: overall popularity and popularity by segment."""
    scorers: dict[str, Scorer] = {f"ndcg@{K}": SegmentPopularity(NO_SEGMENTS, run.item_counts, {})}
    if run.segments is not None:
        segment_of = segments_of(dataset, str(run.config.retrieval.segment))
        scorers["by_segment"] = SegmentPopularity(run.segments, run.item_counts, segment_of)
    return scorers


def random_ndcg(targets: np.ndarray, candidates: int, k: int = K) -> np.ndarray:
    """Expected NDCG@k of a random order of candidates that include all targets of the query.

    Args:
        targets: int `[queries]`, targets of each query.
        candidates: int. Number of candidates.
        k: int. Length of the list.

    Returns:
        float `[queries]`.

    Example:
        >>> random_ndcg(np.array([1, 4]), candidates=4, k=2).round(3).tolist()
        [0.408, 1.0]
    """
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(targets, k) - 1]
    return targets / candidates * gains[: min(k, candidates)].sum() / best
