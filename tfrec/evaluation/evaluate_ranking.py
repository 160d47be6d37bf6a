"""Full-ranking evaluation of any Scorer: every item is ranked, ties are against the model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories, Queries, stretches
from tfrec.errors import InvalidInput
from tfrec.evaluation.ranking_metrics import UNRANKED, bootstrap_intervals, novelty, ranking_metrics, target_ranks
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.top_k_numpy import top_k_numpy

MOST_SCORES = 2**26
"""Scores that exist at the same time: 256 MB, a few times over. Over 130,000 items a batch is smaller for it."""


@dataclass(frozen=True)
class RankingResult:
    """What `evaluate_ranking` found.

    Attributes:
        metrics: Means over the queries: "recall@10", "ndcg@10", "mrr@10", "hit_rate@10" in 0…1, "novelty@10" in bits,
            "coverage@10" (share of the catalogue that is in any list), and so for every k; "users" and "items".
        per_user: One row a query: user_id, targets (how many), and every metric but coverage.
        intervals: 95% bootstrap intervals (low, high) of the means; empty when not asked for.
        predictions: One row a query: user_id, items and scores (the best, in order), targets, and their ranks (null
            where a target was masked or not scored), from which any metric can be recomputed.
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
    """Ranks the whole catalogue for every query and measures where the targets are.

    Several targets a query are allowed. Warning: numbers with and without `exclude_seen` are different protocols and
    cannot be compared; with it, a target the user has had before counts as missed.

    Args:
        scorer: The model or baseline.
        queries: Histories and targets, at least one target each.
        num_items: int. Items in the catalogue.
        exclude_seen: Whether items of the query's own history are masked.
        ks: Lengths of the lists.
        train_counts: `[num_items]`, training events of each item, for novelty; without them it is left out.
        bootstrap: int. Resamples for the intervals; 0 for none.
        seed: int. Of the bootstrap.
        batch_size: int. Queries scored at a time.
        keep_predictions: int. Items a query kept in `predictions`; 0 keeps only the ranks.

    Raises:
        InvalidInput: no queries, a query without a target, a target outside the catalogue, a k below 1, or scores of
            another shape than `[batch, num_items]`.
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
    """`evaluate_ranking` once for each of `exclude_seen`; the scores are computed once for all."""
    ks = sorted({int(k) for k in ks})
    _check(queries, num_items, ks)
    batch_size = min(batch_size, max(MOST_SCORES // num_items, 1))
    found = [_Found.empty(queries, max(1, min(num_items, max(*ks, keep_predictions)))) for _ in exclude_seen]
    order = np.argsort(queries.history.lengths, kind="stable")  # alike in a batch, so that little of it is padding
    cores = os.cpu_count() or 1
    jobs: list[Future[None]] = []
    with ThreadPoolExecutor(cores) as pool:  # NumPy lets go of the interpreter while it compares and sorts
        for start in range(0, len(queries), batch_size):
            rows = order[start : start + batch_size]
            scores = _scores(scorer, queries.history, rows, num_items)  # while the cores rank the rows before
            for job in jobs:
                job.result()
            jobs = [
                pool.submit(one.add, part, values, queries, masked)
                for one, masked in zip(found, exclude_seen, strict=True)
                for part, values in zip(np.array_split(rows, cores), np.array_split(scores, cores), strict=True)
                if len(part)
            ]
        for job in jobs:
            job.result()
    return [
        _result(one, queries, ks, num_items, train_counts, (bootstrap, seed), min(keep_predictions, num_items))
        for one in found
    ]


@dataclass(frozen=True)
class _Found:
    """Ranks of all targets, and the best items of each query with their scores."""

    ranks: np.ndarray
    lists: np.ndarray
    scores: np.ndarray

    @classmethod
    def empty(cls, queries: Queries, width: int) -> _Found:
        shape = len(queries), width
        return cls(
            np.empty(len(queries.target_items), np.int64), np.empty(shape, np.int32), np.empty(shape, np.float32)
        )

    def add(self, rows: np.ndarray, scores: np.ndarray, queries: Queries, masked: bool) -> None:
        if masked:
            scores = without_seen(scores, queries.history, rows)
        flat, offsets = queries.targets_of(rows)
        self.ranks[flat] = target_ranks(scores, offsets, queries.target_items[flat])
        self.lists[rows], self.scores[rows], _ = top_k_numpy(scores, self.lists.shape[1])


def _result(
    found: _Found,
    queries: Queries,
    ks: Sequence[int],
    num_items: int,
    train_counts: np.ndarray | None,
    bootstrap: tuple[int, int],
    keep: int,
) -> RankingResult:
    values = _per_query(found.ranks, queries.target_offsets, found.lists, ks, train_counts)
    metrics = {name: float(column.mean()) for name, column in values.items()}
    for k in ks:
        listed = np.unique(found.lists[:, :k])
        metrics[f"coverage@{k}"] = float((listed >= 0).sum() / num_items)
    metrics |= {"users": float(len(queries)), "items": float(num_items)}
    intervals = {}
    if bootstrap[0]:
        bounds = bootstrap_intervals(np.stack(list(values.values()), axis=1), *bootstrap)
        intervals = {name: (float(low), float(high)) for name, (low, high) in zip(values, bounds)}
    per_user = pl.DataFrame(
        {schema.USER_ID: _ids(queries), "targets": np.diff(queries.target_offsets), **values},
    )
    predictions = _predictions(queries, found.ranks, found.lists, found.scores, keep)
    return RankingResult(metrics, per_user, intervals, predictions)


def _check(queries: Queries, num_items: int, ks: Sequence[int]) -> None:
    if not ks or ks[0] < 1:
        raise InvalidInput(f"Expected ks of at least 1, received {list(ks)}.")
    if not len(queries):
        raise InvalidInput("Expected at least one query, received none. This split has no user with a target.")
    if (np.diff(queries.target_offsets) < 1).any():
        raise InvalidInput("Expected at least one target a query, received a query without. Leave it out.")
    if queries.target_items.min() < 0 or queries.target_items.max() >= num_items:
        raise InvalidInput(f"Expected targets in 0…{num_items - 1}, received {queries.target_items.max()}.")


def _scores(scorer: Scorer, history: Histories, rows: np.ndarray, num_items: int) -> np.ndarray:
    scores = np.asarray(scorer.scores(history, rows))
    if scores.shape != (len(rows), num_items):
        raise InvalidInput(
            f"Expected scores of shape {(len(rows), num_items)} from {scorer.name}, received {scores.shape}. "
            "Was it made for another catalogue?"
        )
    return scores


def without_seen(scores: np.ndarray, history: Histories, rows: np.ndarray) -> np.ndarray:
    """A copy of float `[rows, num_items]` in which the items of each whole history have −inf."""
    scores, lengths = scores.copy(), history.lengths[rows]
    seen = history.items[stretches(history.offsets[rows], lengths)]
    scores[np.repeat(np.arange(len(rows)), lengths), seen] = -np.inf
    return scores


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
    """One list a row."""
    lengths = np.diff(offsets)
    if len(lengths) and lengths[0] and (lengths == lengths[0]).all():
        return values.reshape((len(lengths), int(lengths[0]))).arr.to_list()
    rows = np.repeat(np.arange(len(offsets) - 1), lengths)
    grouped = (
        pl.DataFrame({"row": rows, "value": values}).group_by("row", maintain_order=True).agg("value")
        if len(values)
        else pl.DataFrame({"row": rows, "value": pl.Series([], dtype=pl.List(values.dtype))})
    )
    every = pl.DataFrame({"row": np.arange(len(offsets) - 1)})
    return every.join(grouped, on="row", how="left", maintain_order="left")["value"].fill_null([])


def _ids(queries: Queries) -> pl.Series:
    return pl.Series(list(queries.user_ids), dtype=pl.String)
