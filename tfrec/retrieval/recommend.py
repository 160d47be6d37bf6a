"""`recommend`: lists for people, the same way for every model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import Histories, PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.scorer import Scorer


def top_k_numpy(
    scores: np.ndarray, k: int, exclude: tuple[np.ndarray, np.ndarray] | None = None, allow: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k best items of each row; ties go to the item first in the catalogue.

    Args:
        scores: float `[batch, items]`; not changed.
        k: int. Above the catalogue's size it is cut to it.
        exclude: rows and items, int `[n]` each, that are never returned.
        allow: bool `[items]`; where given, only these are returned.

    Returns:
        indices int32 `[batch, k]`, scores float32 `[batch, k]` and count int32 `[batch]`. Where fewer than k are left,
        the rest of the row is index −1 and score −inf.

    Example:
        >>> top_k_numpy(np.array([[1.0, 3.0, 3.0]]), 2)[0]
        array([[1, 2]], dtype=int32)
    """
    scores = np.array(scores, np.float32)
    if allow is not None:
        scores[:, ~np.asarray(allow, bool)] = -np.inf
    if exclude is not None:
        scores[exclude] = -np.inf
    k = min(k, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    real = ~np.isneginf(best)
    return np.where(real, order, schema.PADDING).astype(np.int32), best, real.sum(axis=1).astype(np.int32)


def recommend(
    scorer: Scorer,
    histories: Histories | PreparedDataset,
    *,
    item_ids: np.ndarray,
    k: int = 10,
    users: Sequence[str] | None = None,
    exclude_seen: bool = True,
    allow: np.ndarray | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Personal top-k lists.

    Args:
        scorer: Any model behind the `Scorer` interface.
        histories: One row a user; of a dataset, everybody's whole history.
        item_ids: object `[num_items]`, in catalogue order.
        k: int, at least 1. Above the catalogue's size it is cut to it.
        users: Ids of the users wanted, in this order; everybody where None. Unknown ids are an `InvalidInput`.
        exclude_seen: bool. Leave out items of the user's own history.
        allow: bool `[num_items]`. Only these items are recommended.
        batch_size: int. Users scored at a time.

    Returns:
        A frame of user_id, item_id, rank (int32, from 1) and score (float32). A user with fewer than k items left has
        fewer rows.
    """
    if k < 1:
        raise InvalidInput(f"Expected k of at least 1, received {k}.")
    if isinstance(histories, PreparedDataset):
        histories = histories.histories()
    chosen = _rows(histories, users)
    parts = []
    for start in range(0, len(chosen), batch_size):
        rows = chosen[start : start + batch_size]
        scores = scorer.scores(histories, rows)
        indices, best, count = top_k_numpy(scores, k, _seen(histories, rows) if exclude_seen else None, allow)
        real = indices >= 0
        parts.append(
            pl.DataFrame(
                {
                    schema.USER_ID: np.repeat(histories.user_ids[rows], count).tolist(),
                    schema.ITEM_ID: item_ids[indices[real]].tolist(),
                    schema.RANK: np.broadcast_to(np.arange(1, indices.shape[1] + 1, dtype=np.int32), real.shape)[real],
                    schema.SCORE: best[real],
                },
                schema_overrides={schema.USER_ID: pl.String, schema.ITEM_ID: pl.String},
            )
        )
    return pl.concat(parts) if parts else _empty()


def _rows(histories: Histories, users: Sequence[str] | None) -> np.ndarray:
    if users is None:
        return np.arange(len(histories))
    place = {user: row for row, user in enumerate(histories.user_ids)}
    unknown = [user for user in users if user not in place]
    if unknown:
        raise InvalidInput(f"{len(unknown)} users have no history, e.g. {unknown[:3]}. Leave them out of the list.")
    return np.array([place[user] for user in users], np.int64)


def _seen(histories: Histories, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = [histories.items[histories.offsets[row] : histories.offsets[row + 1]] for row in rows]
    return np.repeat(np.arange(len(rows)), [len(part) for part in parts]), np.concatenate(parts)


def _empty() -> pl.DataFrame:
    columns = {schema.USER_ID: pl.String, schema.ITEM_ID: pl.String, schema.RANK: pl.Int32, schema.SCORE: pl.Float32}
    return pl.DataFrame(schema=columns)
