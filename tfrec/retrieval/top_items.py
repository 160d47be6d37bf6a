"""`recommend`: turns any Scorer and histories into a frame of lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, concatenate_ranges
from tfrec.errors import InvalidInput
from tfrec.progress import track
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.top_k_numpy import top_k_numpy


def recommend(
    scorer: Scorer,
    histories: PreparedDataset | Histories,
    *,
    item_ids: Sequence[str] | np.ndarray,
    k: int = 10,
    users: Sequence[str] | None = None,
    exclude_seen: bool,
    allow: Sequence[str] | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Recommends the top `k` items to each user.

    Args:
        scorer: The model or baseline.
        histories: The users' histories; for a PreparedDataset, the complete sequences.
        item_ids: `[items]`, the ids of the catalogue in index order.
        k: int. Number of items per user. A user gets fewer rows if fewer items are left after exclusions.
        users: Ids of the users to recommend to, in the order of the result; None for all.
        exclude_seen: Whether to exclude the items of each user's history.
        allow: Ids of the items that may be recommended; None for all.
        batch_size: int. Number of users scored at a time.

    Returns:
        One row per user and item, best first: user_id, item_id (String), rank (UInt32, from 1), score (Float32). Ties
        go to the item first in the catalogue.

    Raises:
        InvalidInput: Unknown users or allowed items, `k` below 1, or a catalogue size other than the scorer's.
    """
    if isinstance(histories, PreparedDataset):
        histories = histories.histories()
    ids = np.asarray(item_ids, dtype=object)
    if k < 1 or batch_size < 1:
        raise InvalidInput(f"Expected k and batch_size of at least 1, received {k} and {batch_size}.")
    if len(ids) != scorer.num_items:
        raise InvalidInput(
            f"The scorer ranks {scorer.num_items} items, received {len(ids)} item ids. "
            "Use the catalogue the model was trained on."
        )
    k = min(k, len(ids))
    rows = np.arange(len(histories)) if users is None else places_of_ids(users, histories.user_ids, "users", "the data")
    allowed = None
    if allow is not None:
        allowed = np.zeros(len(ids), bool)
        allowed[places_of_ids(allow, ids, "allowed items", "the catalogue")] = True
    order = np.argsort(histories.lengths[rows], kind="stable")  # batches of similar lengths need little padding
    indices, scores = np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32)
    for start in track(range(0, len(rows), batch_size), "Recommending"):
        batch = order[start : start + batch_size]
        exclude = seen_items(histories, rows[batch]) if exclude_seen else None
        indices[batch], scores[batch], _ = top_k_numpy(scorer.scores(histories, rows[batch]), k, exclude, allowed)
    parts, ranks = [_frame([], [], [], [])], np.arange(1, k + 1)
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        real = indices[part] >= 0
        user_ids = np.repeat(histories.user_ids[rows[part]], real.sum(axis=1))
        rank = np.broadcast_to(ranks, real.shape)[real]
        parts.append(_frame(user_ids, ids[indices[part][real]], rank, scores[part][real]))
    return pl.concat(parts)


def seen_items(histories: Histories, rows: np.ndarray) -> np.ndarray:
    """The items of each history, int32 `[len(rows), length of the longest]`, padded on the right with −1."""
    lengths = histories.lengths[rows]
    real = np.arange(lengths.max(initial=0)) < lengths[:, None]
    seen = np.full(real.shape, schema.PADDING, np.int32)
    seen[real] = histories.items[concatenate_ranges(histories.offsets[rows], lengths)]
    return seen


def places_of_ids(ids: Sequence[str], known: np.ndarray, what: str, where: str) -> np.ndarray:
    """The place of each id in `known`, int64 `[ids]`; raises `InvalidInput` for unknown ids.

    Args:
        ids: The ids.
        known: object `[n]`, all ids that there are.
        what: What the ids are, in the plural, for the message.
        where: Where they should be, for the message.
    """
    position = {name: place for place, name in enumerate(known)}
    unknown = [name for name in ids if name not in position]
    if unknown:
        examples = ", ".join(map(repr, unknown[:3]))
        raise InvalidInput(
            f"{len(unknown)} of {len(ids)} {what} are not in {where}, e.g. {examples}. "
            "Leave them out or correct their ids."
        )
    return np.array([position[name] for name in ids], np.int64)


def _frame(users: object, items: object, ranks: object, scores: object) -> pl.DataFrame:
    columns = {schema.USER_ID: users, schema.ITEM_ID: items, schema.RANK: ranks, schema.SCORE: scores}
    types = [pl.String, pl.String, pl.UInt32, pl.Float32]
    return pl.DataFrame(
        [pl.Series(name, list(values), dtype=dtype) for (name, values), dtype in zip(columns.items(), types)]  # type: ignore[call-overload]
    )
