"""The one `recommend` for all models: a Scorer and histories to one frame of lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, stretches
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
    """The top `k` items of each user, best first.

    Args:
        scorer: The model or baseline.
        histories: What the users did; of a PreparedDataset, every user's whole sequence.
        item_ids: `[items]`, the catalogue's ids in index order.
        k: int. Items a user. Where fewer are left (small catalogue, exclusions), the user has fewer rows.
        users: Ids of the users to answer, in this order; None for all.
        exclude_seen: Whether items of the user's own history are left out.
        allow: Item ids that may be recommended; None for all.
        batch_size: int. Users scored at a time.

    Returns:
        Columns user_id, item_id (String), rank (UInt32, from 1) and score (Float32). Ties go to the item first in the
        catalogue.

    Raises:
        InvalidInput: unknown users or allowed items, `k` below 1, or a catalogue of another size than the scorer's.
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
    rows = np.arange(len(histories)) if users is None else _places(users, histories.user_ids, "users", "the data")
    allowed = None
    if allow is not None:
        allowed = np.zeros(len(ids), bool)
        allowed[_places(allow, ids, "allowed items", "the catalogue")] = True
    order = np.argsort(histories.lengths[rows], kind="stable")  # alike in a batch, so that little of it is padding
    indices, scores = np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32)
    for start in track(range(0, len(rows), batch_size), "Recommending"):
        batch = order[start : start + batch_size]
        exclude = seen_items(histories, rows[batch]) if exclude_seen else None
        found = top_k_numpy(scorer.scores(histories, rows[batch]), k, exclude, allowed)
        indices[batch], scores[batch], _ = found
    parts, places = [_frame([], [], [], [])], np.arange(1, k + 1)
    for start in range(0, len(rows), batch_size):
        here = slice(start, start + batch_size)
        real = indices[here] >= 0
        who = np.repeat(histories.user_ids[rows[here]], real.sum(axis=1))
        rank = np.broadcast_to(places, real.shape)[real]
        parts.append(_frame(who, ids[indices[here][real]], rank, scores[here][real]))
    return pl.concat(parts)


def seen_items(histories: Histories, rows: np.ndarray) -> np.ndarray:
    """int32 `[len(rows), longest]`: the items of each history, padded on the right with −1."""
    lengths = histories.lengths[rows]
    real = np.arange(lengths.max(initial=0)) < lengths[:, None]
    seen = np.full(real.shape, schema.PADDING, np.int32)
    seen[real] = histories.items[stretches(histories.offsets[rows], lengths)]
    return seen


def _places(wanted: Sequence[str], known: np.ndarray, what: str, where: str) -> np.ndarray:
    position = {name: place for place, name in enumerate(known)}
    unknown = [name for name in wanted if name not in position]
    if unknown:
        examples = ", ".join(map(repr, unknown[:3]))
        raise InvalidInput(
            f"{len(unknown)} of {len(wanted)} {what} are not in {where}, e.g. {examples}. "
            "Leave them out or correct their ids."
        )
    return np.array([position[name] for name in wanted], np.int64)


def _frame(users: object, items: object, ranks: object, scores: object) -> pl.DataFrame:
    columns = {schema.USER_ID: users, schema.ITEM_ID: items, schema.RANK: ranks, schema.SCORE: scores}
    types = [pl.String, pl.String, pl.UInt32, pl.Float32]
    return pl.DataFrame(
        [pl.Series(name, list(values), dtype=dtype) for (name, values), dtype in zip(columns.items(), types)]  # type: ignore[call-overload]
    )
