"""Full-ranking evaluation of any Scorer: every item is ranked, and ties count against the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Queries, row_numbers
from tfrec.errors import InvalidInput
from tfrec.evaluation.ranking_metrics import UNRANKED, bootstrap_intervals, novelty, ranking_metrics
from tfrec.evaluation.rankings import Ranker, Rankings, rank_queries
from tfrec.retrieval.items_to_recommend import CandidateScorer
from tfrec.retrieval.scorer import Scorer


@dataclass(frozen=True)
class RankingResult:
    """The result of `evaluate_ranking`.

    Attributes:
        metrics: For every k, means over the queries: "recall@10", "ndcg@10", "mrr@10" and "hit_rate@10" in 0…1,
            "novelty@10" in bits, and "coverage@10" (share of the items that lists may hold that some list holds);
            also "users" and "items".
        per_user: One row per query: user_id, targets (count), and every metric except coverage.
        intervals: Metric name to the 95% bootstrap interval (low, high) of its mean; empty without bootstrap.
        predictions: One row per query: user_id, items and scores (best first), targets, and their ranks (null for a
            target that was masked or not scored). Any ranking metric can be recomputed from it.
    """

    metrics: dict[str, float]
    per_user: pl.DataFrame
    intervals: dict[str, tuple[float, float]]
    predictions: pl.DataFrame


def evaluate_ranking(
    scorer: Scorer,
    queries: Queries,
    *,
    num_items: int,
    exclude_seen: bool = False,
    ks: Sequence[int] = (10, 50),
    train_counts: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    batch_size: int = 512,
    keep_predictions: int = 100,
) -> RankingResult:
    """Ranks the whole catalogue for every query and computes ranking metrics of the targets.

    A query may have several targets. Warning: metrics with and without `exclude_seen` follow different protocols and
    must not be compared; with it, a target that is in the user's history counts as missed.

    Args:
        scorer: The model or baseline.
        queries: Histories and targets; every query has at least one target.
        num_items: int. Number of items in the catalogue.
        exclude_seen: Whether to mask the items of each query's history.
        ks: Lengths of the lists.
        train_counts: int `[num_items]`, number of training events of each item, for novelty. Without it novelty is
            left out.
        bootstrap: int. Number of bootstrap resamples for the intervals; 0 for no intervals.
        seed: int. Seed of the bootstrap.
        batch_size: int. Maximum number of queries scored at a time.
        keep_predictions: int. Number of items per query in `predictions`; 0 keeps only the ranks.

    Raises:
        InvalidInput: There are no queries, a query has no target, a target is outside the catalogue, a k is below 1, or
            the scores do not have the shape `[batch, num_items]`.
    """
    (result,) = evaluate_protocols(
        scorer,
        queries,
        (exclude_seen,),
        num_items=num_items,
        ks=ks,
        train_counts=train_counts,
        bootstrap=bootstrap,
        seed=seed,
        batch_size=batch_size,
        keep_predictions=keep_predictions,
    )
    return result


def evaluate_protocols(
    scorer: Scorer,
    queries: Queries,
    exclude_seen: Sequence[bool],
    *,
    num_items: int,
    ks: Sequence[int] = (10, 50),
    train_counts: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    batch_size: int = 512,
    keep_predictions: int = 100,
) -> list[RankingResult]:
    """Runs `evaluate_ranking` for each value in `exclude_seen`, computing the scores only once.

    Args:
        scorer: The model or baseline.
        queries: Histories and targets; every query has at least one target.
        exclude_seen: The protocols to evaluate, one result each.
        num_items: int. Number of items in the catalogue.
        ks: Lengths of the lists.
        train_counts: int `[num_items]`, number of training events of each item, for novelty. None leaves novelty out.
        bootstrap: int. Number of bootstrap resamples for the intervals; 0 for no intervals.
        seed: int. Seed of the bootstrap.
        batch_size: int. Maximum number of queries scored at a time.
        keep_predictions: int. Number of items per query in `predictions`; 0 keeps only the ranks.

    Returns:
        One result per value in `exclude_seen`, in order.
    """
    return evaluate_with(
        rank_queries,
        scorer,
        queries,
        exclude_seen,
        num_items=num_items,
        ks=ks,
        train_counts=train_counts,
        bootstrap=(bootstrap, seed),
        batch_size=batch_size,
        keep_predictions=keep_predictions,
    )


def evaluate_with(
    rank: Ranker,
    scorer: Scorer,
    queries: Queries,
    exclude_seen: Sequence[bool],
    *,
    num_items: int,
    ks: Sequence[int],
    train_counts: np.ndarray | None,
    bootstrap: tuple[int, int],
    batch_size: int,
    keep_predictions: int,
) -> list[RankingResult]:
    """`evaluate_protocols`, with `rank` to score and rank the catalogue; `bootstrap` is resamples and seed."""
    ks = sorted({int(k) for k in ks})
    _check(queries, num_items, ks)
    width = max(1, min(num_items, max(*ks, keep_predictions)))
    rankings = rank(scorer, queries, exclude_seen, num_items=num_items, width=width, batch_size=batch_size)
    listable = int(scorer.candidates.sum()) if isinstance(scorer, CandidateScorer) else num_items
    results = [
        _result(ranking, queries, ks, listable, train_counts, bootstrap, min(keep_predictions, num_items))
        for ranking in rankings
    ]
    for result in results:
        result.metrics["items"] = float(num_items)
    return results


def _result(
    rankings: Rankings,
    queries: Queries,
    ks: Sequence[int],
    listable: int,
    train_counts: np.ndarray | None,
    bootstrap: tuple[int, int],
    keep: int,
) -> RankingResult:
    values = _per_query(rankings.ranks, queries.target_offsets, rankings.lists, ks, train_counts)
    metrics = {name: float(column.mean()) for name, column in values.items()}
    for k in ks:
        listed = np.unique(rankings.lists[:, :k])
        metrics[f"coverage@{k}"] = float((listed >= 0).sum() / max(listable, 1))
    metrics["users"] = float(len(queries))
    intervals = {}
    if bootstrap[0]:
        bounds = bootstrap_intervals(np.stack(list(values.values()), axis=1), *bootstrap)
        intervals = {name: (float(low), float(high)) for name, (low, high) in zip(values, bounds)}
    per_user = pl.DataFrame(
        {schema.USER_ID: _ids(queries), "targets": np.diff(queries.target_offsets), **values},
    )
    predictions = _predictions(queries, rankings.ranks, rankings.lists, rankings.scores, keep)
    return RankingResult(metrics, per_user, intervals, predictions)


def _check(queries: Queries, num_items: int, ks: Sequence[int]) -> None:
    if not ks or ks[0] < 1:
        raise InvalidInput(f"Expected ks of at least 1, received {list(ks)}.")
    if not len(queries):
        raise InvalidInput("Expected at least one query, received none: this split has no user with a target.")
    if (np.diff(queries.target_offsets) < 1).any():
        raise InvalidInput("Expected at least one target per query, received a query without any. Leave it out.")
    if queries.target_items.min() < 0 or queries.target_items.max() >= num_items:
        raise InvalidInput(f"Expected targets in 0…{num_items - 1}, received {queries.target_items.max()}.")


def _per_query(
    ranks: np.ndarray, offsets: np.ndarray, lists: np.ndarray, ks: Sequence[int], train_counts: np.ndarray | None
) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    for k in ks:
        values |= {f"{name}@{k}": column for name, column in ranking_metrics(ranks, offsets, k).items()}
        if train_counts is not None:
            values[f"novelty@{k}"] = novelty(lists[:, :k], train_counts)
    return values


def _predictions(queries: Queries, ranks: np.ndarray, lists: np.ndarray, scores: np.ndarray, keep: int) -> pl.DataFrame:
    lengths = np.minimum((lists >= 0).sum(axis=1), keep)
    kept = np.arange(lists.shape[1]) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    known = pl.Series(ranks).replace(UNRANKED, None)
    return pl.DataFrame(
        {
            schema.USER_ID: _ids(queries),
            "items": _lists(pl.Series(lists[kept]), offsets),
            "scores": _lists(pl.Series(scores[kept]), offsets),
            "targets": _lists(pl.Series(queries.target_items), queries.target_offsets),
            "ranks": _lists(known, queries.target_offsets),
        }
    )


def _lists(values: pl.Series, offsets: np.ndarray) -> pl.Series:
    """A series with one list per row; the values of row i are at `offsets[i]` to `offsets[i + 1] − 1`."""
    lengths = np.diff(offsets)
    if len(lengths) and lengths[0] and (lengths == lengths[0]).all():
        return values.reshape((len(lengths), int(lengths[0]))).arr.to_list()
    rows = row_numbers(lengths)
    grouped = (
        pl.DataFrame({"row": rows, "value": values}).group_by("row", maintain_order=True).agg("value")
        if len(values)
        else pl.DataFrame({"row": rows, "value": pl.Series([], dtype=pl.List(values.dtype))})
    )
    all_rows = pl.DataFrame({"row": np.arange(len(offsets) - 1)})
    return all_rows.join(grouped, on="row", how="left", maintain_order="left")["value"].fill_null([])


def _ids(queries: Queries) -> pl.Series:
    return pl.Series(list(queries.user_ids), dtype=pl.String)
