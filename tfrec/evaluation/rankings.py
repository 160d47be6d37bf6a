"""Where the targets of queries rank in the whole catalogue, and what is at the top of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfrec.data.histories import Histories, Queries, concatenate_ranges, row_numbers
from tfrec.errors import InvalidInput
from tfrec.evaluation.ranking_metrics import target_ranks
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.top_k_numpy import top_k_numpy

MOST_SCORES = 2**26
"""Scores per batch at most: 256 MB as float32, of which a few copies exist. It limits the batch size above about
130,000 items."""


@dataclass(frozen=True)
class Rankings:
    """Ranks of all targets, and the best items of each query with their scores, filled batch by batch.

    Attributes:
        ranks: int64 `[targets]`, as `target_ranks` gives them.
        lists: int32 `[queries, width]`, the best items, best first; −1 is padding.
        scores: float32 `[queries, width]`.
    """

    ranks: np.ndarray
    lists: np.ndarray
    scores: np.ndarray

    @classmethod
    def empty(cls, queries: Queries, width: int) -> Rankings:
        """For some queries, with lists of `width` items."""
        shape = len(queries), width
        return cls(
            np.empty(len(queries.target_items), np.int64), np.empty(shape, np.int32), np.empty(shape, np.float32)
        )

    def put(self, rows: np.ndarray, part: Rankings, queries: Queries) -> None:
        """Fills in the rankings of some of the queries, whose rows are int `[n]`."""
        flat, _ = queries.targets_of(rows)
        self.ranks[flat], self.lists[rows], self.scores[rows] = part.ranks, part.lists, part.scores

    def add(self, rows: np.ndarray, scores: np.ndarray, queries: Queries, masked: bool) -> None:
        """Ranks the catalogue for some of the queries by its scores, float `[len(rows), num_items]`."""
        if masked:
            scores = without_seen(scores, queries.history, rows)
        flat, offsets = queries.targets_of(rows)
        self.ranks[flat] = target_ranks(scores, offsets, queries.target_items[flat])
        self.lists[rows], self.scores[rows], _ = top_k_numpy(scores, self.lists.shape[1])


class Ranker(Protocol):
    """What ranks the catalogue for queries: `rank_queries`, or something that shares its work."""

    def __call__(
        self,
        scorer: Scorer,
        queries: Queries,
        exclude_seen: Sequence[bool],
        *,
        num_items: int,
        width: int,
        batch_size: int,
    ) -> list[Rankings]:
        """The rankings of all queries for each value of `exclude_seen`; see `rank_queries`."""
        ...


def in_order_of_length(queries: Queries) -> np.ndarray:
    """The rows of the queries by the length of their histories: batches of similar lengths need little padding."""
    return np.argsort(queries.history.lengths, kind="stable")


def batch_of(batch_size: int, num_items: int) -> int:
    """How many queries are scored at a time: as many as asked, unless their scores would take too much memory."""
    return min(batch_size, max(MOST_SCORES // num_items, 1))


def rank_queries(
    scorer: Scorer, queries: Queries, exclude_seen: Sequence[bool], *, num_items: int, width: int, batch_size: int
) -> list[Rankings]:
    """Ranks the catalogue for each query; scores are computed once for all values of `exclude_seen`.

    Args:
        scorer: The scorer.
        queries: Histories and targets.
        exclude_seen: For each of the results whether the items of the history are masked.
        num_items: int. Number of items in the catalogue.
        width: int. Number of best items to keep of each query.
        batch_size: int. Maximum number of queries scored at a time.
    """
    batch_size, order = batch_of(batch_size, num_items), in_order_of_length(queries)
    rankings = [Rankings.empty(queries, width) for _ in exclude_seen]
    cores = os.cpu_count() or 1
    jobs: list[Future[None]] = []
    with ThreadPoolExecutor(cores) as pool:  # NumPy releases the GIL while it compares and sorts
        for start in range(0, len(queries), batch_size):
            rows = order[start : start + batch_size]
            scores = _scores(scorer, queries.history, rows, num_items)  # meanwhile the pool ranks the previous batch
            for job in jobs:
                job.result()
            jobs = [
                pool.submit(ranking.add, part, values, queries, masked)
                for ranking, masked in zip(rankings, exclude_seen, strict=True)
                for part, values in zip(np.array_split(rows, cores), np.array_split(scores, cores), strict=True)
                if len(part)
            ]
        for job in jobs:
            job.result()
    return rankings


def _scores(scorer: Scorer, history: Histories, rows: np.ndarray, num_items: int) -> np.ndarray:
    scores = np.asarray(scorer.scores(history, rows))
    if scores.shape != (len(rows), num_items):
        raise InvalidInput(
            f"Expected scores of shape {(len(rows), num_items)} from {scorer.name}, received {scores.shape}. "
            "Was the scorer made for another catalogue?"
        )
    return scores


def without_seen(scores: np.ndarray, history: Histories, rows: np.ndarray) -> np.ndarray:
    """A copy of the scores with −inf for the items of each history.

    Args:
        scores: float `[len(rows), num_items]`.
        history: The histories.
        rows: int, the rows of the histories that were scored.
    """
    scores, lengths = scores.copy(), history.lengths[rows]
    seen = history.items[concatenate_ranges(history.offsets[rows], lengths)]
    scores[row_numbers(lengths), seen] = -np.inf
    return scores
