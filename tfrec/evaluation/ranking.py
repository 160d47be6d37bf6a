"""Full-ranking metrics: every item is scored, every target gets its rank, nothing is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import Queries
from tfrec.errors import InvalidInput
from tfrec.models.scorer import Scorer


@dataclass(frozen=True)
class RankingResult:
    """What an evaluation found.

    Attributes:
        metrics: name to value, e.g. "ndcg@10"; also "users" and "items".
        per_user: user_id and one column a metric that has a value for each user.
        intervals: name to the 95% bootstrap interval of its mean over users.
        predictions: user_id, item indices of the top list, and the rank of each target (from 1).
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
    """Ranks the whole catalogue for each query and measures where the targets land.

    With T targets of a query and r the ranks of those within the top k: recall = found / T, hit rate = 1 when any is
    found, MRR = 1 / best rank, NDCG = Σ 1/log₂(r + 1) over its value for an ideal list of min(T, k). Coverage is the
    share of the catalogue that occurs in any top k; novelty is the mean −log₂ of the training share of listed items.

    Ties count against the model: a target ranks behind every other item of the same score. Items that score NaN rank
    first, for the same reason. With `exclude_seen`, items of the history are masked; a target among them is never found.

    Args:
        scorer: Anything with `scores(histories, rows)`.
        queries: Histories and targets. Without any, every metric is 0.
        num_items: int. Items in the catalogue.
        exclude_seen: bool. Mask items of the history.
        ks: Cut-offs.
        train_counts: int `[num_items]`, training events an item, for novelty; left out where None.
        bootstrap: int. Resamples of users; 0 for no intervals.
        seed: int. Of the resampling.
        batch_size: int. Queries scored at a time.
        keep_predictions: int. Length of the kept lists.
    """
    top = max([*ks, keep_predictions])
    ranks = np.zeros(len(queries.target_items), np.int64)
    lists = np.full((len(queries), min(top, num_items)), schema.PADDING, np.int32)
    for start in range(0, len(queries), batch_size):
        rows = np.arange(start, min(start + batch_size, len(queries)))
        scores = np.asarray(scorer.scores(queries.history, rows), np.float32)
        if scores.shape != (len(rows), num_items):
            raise InvalidInput(f"Expected scores of shape {(len(rows), num_items)}, received {scores.shape}.")
        scores = np.where(np.isnan(scores), np.inf, scores)
        if exclude_seen:
            scores[_flat_rows(queries.history.offsets, rows), _flat(queries.history, rows)] = -np.inf
        first, last = queries.target_offsets[start], queries.target_offsets[rows[-1] + 1]
        targets = queries.target_items[first:last]
        ranks[first:last] = _ranks_against_us(scores, _flat_rows(queries.target_offsets, rows), targets)
        lists[rows] = _top(scores, lists.shape[1])
    return _summarise(queries, ranks, lists, num_items, ks, train_counts, bootstrap, seed, keep_predictions)


def _flat_rows(offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(rows)), np.diff(offsets[rows[0] : rows[-1] + 2]))


def _flat(history: object, rows: np.ndarray) -> np.ndarray:
    offsets = history.offsets  # type: ignore[attr-defined]
    items: np.ndarray = history.items[offsets[rows[0]] : offsets[rows[-1] + 1]]  # type: ignore[attr-defined]
    return items


def _ranks_against_us(scores: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 + the number of other items that score as much or more; items that are masked rank behind the catalogue."""
    own = scores[rows, targets]
    ranks = np.empty(len(targets), np.int64)
    step = max(1, 4_000_000 // max(1, scores.shape[1]))
    for start in range(0, len(targets), step):
        part = slice(start, start + step)
        ranks[part] = (scores[rows[part]] >= own[part, None]).sum(axis=1)
    return np.where(np.isneginf(own), scores.shape[1] + 1, ranks)


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k best of each row, ties to the first in the catalogue; −1 where the rest is masked."""
    if k < scores.shape[1]:
        # the k-th best score; everything above it is in, ties at it are filled in catalogue order
        threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        above = scores > threshold
        ties = scores == threshold
        room = k - above.sum(axis=1, keepdims=True)
        chosen = above | (ties & (np.cumsum(ties, axis=1) <= room))
        candidates = np.nonzero(chosen)[1].reshape(len(scores), k)
    else:
        candidates = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    found = np.take_along_axis(scores, candidates, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    best = np.take_along_axis(candidates, order, axis=1)
    return np.where(np.isneginf(np.take_along_axis(found, order, axis=1)), schema.PADDING, best).astype(np.int32)


def _summarise(
    queries: Queries,
    ranks: np.ndarray,
    lists: np.ndarray,
    num_items: int,
    ks: Sequence[int],
    train_counts: np.ndarray | None,
    bootstrap: int,
    seed: int,
    keep: int,
) -> RankingResult:
    per_user: dict[str, np.ndarray] = {}
    for k in ks:
        per_user |= _per_user(queries.target_offsets, ranks, k)
    names = {schema.USER_ID: pl.Series(queries.user_ids.tolist(), dtype=pl.String)}
    frame = pl.DataFrame({**names, **per_user})
    metrics = {name: float(values.mean()) if len(values) else 0.0 for name, values in per_user.items()}
    for k in ks:
        shown = lists[:, :k][lists[:, :k] >= 0]
        metrics[f"coverage@{k}"] = len(np.unique(shown)) / num_items
        if train_counts is not None:
            share = np.maximum(train_counts, 0.5) / max(1.0, float(train_counts.sum()))
            metrics[f"novelty@{k}"] = float(-np.log2(share[shown]).mean()) if len(shown) else 0.0
    metrics |= {"users": float(len(queries)), "items": float(num_items)}
    rank_lists = np.split(ranks, queries.target_offsets[1:-1]) if len(queries) else []
    predictions = pl.DataFrame(
        {
            **names,
            schema.ITEMS: pl.Series(lists[:, :keep].tolist(), dtype=pl.List(pl.Int32)),
            "target_ranks": pl.Series([r.tolist() for r in rank_lists], dtype=pl.List(pl.Int64)),
        }
    )
    return RankingResult(metrics, frame, _bootstrap(per_user, bootstrap, seed), predictions)


def _per_user(offsets: np.ndarray, ranks: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Metrics of each query at k. Targets of one query are distinct items, so their ranks are too, ties apart."""
    counts = np.diff(offsets)
    row = np.repeat(np.arange(len(counts)), counts)
    within = ranks <= k
    size = len(counts)
    found = np.bincount(row, within, size)
    gain = np.bincount(row, within / np.log2(ranks + 1), size)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])[np.minimum(counts, k)]
    best = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(best, row, ranks)
    return {
        f"recall@{k}": found / np.maximum(counts, 1),
        f"ndcg@{k}": gain / np.maximum(ideal, 1e-12),
        f"mrr@{k}": np.where(best <= k, 1 / best, 0.0),
        f"hit_rate@{k}": (found > 0).astype(np.float64),
    }


def _bootstrap(per_user: dict[str, np.ndarray], resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """95% percentile intervals of the means, resampling users."""
    size = len(next(iter(per_user.values()), np.zeros(0)))
    if not resamples or not size:
        return {}
    rng = np.random.default_rng(seed)
    values = np.stack(list(per_user.values()))
    means = np.stack([values @ rng.multinomial(size, np.full(size, 1 / size)) / size for _ in range(resamples)])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(per_user, low, high, strict=True)}
