"""`evaluate_beyond`: metrics of recommended lists other than recall and NDCG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.evaluation import list_metrics as per_list
from tfrec.evaluation.catalogue_metrics import catalogue_metrics
from tfrec.evaluation.ranking_metrics import UNRANKED, novelty


@dataclass(frozen=True)
class BeyondResult:
    """The result of `evaluate_beyond`.

    Attributes:
        metrics: Means over the queries (ignoring NaN) and metrics of the whole catalogue, by name, e.g. "diversity@10".
        per_user: One row per query: user_id, targets, and every per-query metric.
    """

    metrics: dict[str, float]
    per_user: pl.DataFrame


def evaluate_beyond(
    predictions: pl.DataFrame,
    *,
    train_counts: np.ndarray,
    histories: Histories | None = None,
    vectors: np.ndarray | None = None,
    categories: np.ndarray | None = None,
    ks: Sequence[int] = (10,),
    candidates: int | None = None,
) -> BeyondResult:
    """Computes precision, MAP, novelty, popularity, serendipity, diversity, calibration, coverage and Gini of lists.

    Args:
        predictions: `RankingResult.predictions`, or predictions.parquet of a run: user_id, items, targets, ranks.
        train_counts: int `[items]`, number of training events of each item.
        histories: One row per query, in the order of the predictions. Without them popularity_lift, unexpectedness and
            miscalibration are left out.
        vectors: float `[items, dim]`, e.g. text vectors. Without them diversity and unexpectedness are left out.
        categories: float `[items, categories]` from `category_matrix`. Without it miscalibration is left out.
        ks: Lengths of the lists.
        candidates: int. Number of items that lists may hold; None for all.

    Raises:
        InvalidInput: The stored lists are shorter than needed, or an argument belongs to another catalogue.

    Example:
        >>> frame = pl.DataFrame({"user_id": ["u"], "items": [[1, 0]], "targets": [[1]], "ranks": [[1]]})
        >>> evaluate_beyond(frame, train_counts=np.array([3, 1]), ks=[2]).metrics["precision@2"]
        0.5
    """
    items = len(train_counts)
    _check(predictions, items, histories, vectors, categories, ks)
    _check_lengths(predictions, items if candidates is None else candidates, ks)
    table = padded_lists(predictions, max(ks))
    ranks, offsets = flat_ranks(predictions)
    targets = predictions["targets"].explode().to_numpy()
    columns: dict[str, np.ndarray] = {}
    metrics: dict[str, float] = {}
    for k in sorted(set(ks)):
        lists = table[:, :k]
        per_query = {
            **per_list.precision_metrics(ranks, offsets, k),
            "novelty": novelty(lists, train_counts),
            "popularity": per_list.list_popularity(lists, train_counts),
            "serendipity": per_list.serendipity(lists, offsets, targets, train_counts),
        }
        if vectors is not None:
            per_query["diversity"] = per_list.intra_list_diversity(lists, vectors)
        if histories is not None:
            per_query["popularity_lift"] = per_list.popularity_lift(lists, histories, train_counts)
            if vectors is not None:
                per_query["unexpectedness"] = per_list.unexpectedness(lists, histories, vectors)
            if categories is not None:
                per_query["miscalibration"] = per_list.miscalibration(lists, histories, categories)
        columns |= {f"{name}@{k}": column for name, column in per_query.items()}
        metrics |= {f"{name}@{k}": value for name, value in catalogue_metrics(lists, train_counts, candidates).items()}
    means = {name: _mean(column) for name, column in columns.items()}
    per_user = pl.DataFrame({schema.USER_ID: predictions[schema.USER_ID], "targets": np.diff(offsets), **columns})
    return BeyondResult(means | metrics, per_user)


def padded_lists(predictions: pl.DataFrame, k: int) -> np.ndarray:
    """The first `k` items of each row's list, int32 `[rows, k]`, padded with −1."""
    column = predictions["items"]
    lengths = np.minimum(column.list.len().to_numpy().astype(np.int64), k)
    table = np.full((predictions.height, k), -1, np.int32)
    table[np.arange(k) < lengths[:, None]] = column.list.head(k).explode().drop_nulls().to_numpy()
    return table


def flat_ranks(predictions: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of all targets in a flat array.

    Returns:
        ranks: int64 `[targets]`, from 1; `UNRANKED` for null. offsets: int64 `[rows + 1]`, where each query's begin.
    """
    lengths = predictions["ranks"].list.len().to_numpy()
    if not lengths.all():
        raise InvalidInput("Expected at least one target per query, received a query without any. Leave it out.")
    ranks = predictions["ranks"].explode().fill_null(UNRANKED).to_numpy().astype(np.int64)
    return ranks, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _mean(column: np.ndarray) -> float:
    real = column[~np.isnan(column)]
    return float(real.mean()) if len(real) else float("nan")


def _check(
    predictions: pl.DataFrame,
    items: int,
    histories: Histories | None,
    vectors: np.ndarray | None,
    categories: np.ndarray | None,
    ks: Sequence[int],
) -> None:
    missing = [name for name in (schema.USER_ID, "items", "targets", "ranks") if name not in predictions.columns]
    if missing:
        raise InvalidInput(f"Predictions have no column {missing[0]!r}; found {predictions.columns}.")
    if not ks or min(ks) < 1:
        raise InvalidInput(f"Expected ks of at least 1, received {list(ks)}.")
    if not predictions.height:
        raise InvalidInput("Expected at least one query, received none.")
    for name, table in (("vectors", vectors), ("categories", categories)):
        if table is not None and len(table) != items:
            raise InvalidInput(f"Expected {name} for {items} items, as in train_counts; received {len(table)} rows.")
    if histories is not None and len(histories) != predictions.height:
        raise InvalidInput(f"Expected {predictions.height} histories, one per query; received {len(histories)}.")


def _check_lengths(predictions: pl.DataFrame, items: int, ks: Sequence[int]) -> None:
    kept = int(predictions["items"].list.len().to_numpy().max())
    if kept < min(max(ks), items) and kept == predictions["items"].list.len().to_numpy().min():
        raise InvalidInput(
            f"Expected lists of {min(max(ks), items)} items, received {kept}. Evaluate with a larger keep_predictions."
        )
