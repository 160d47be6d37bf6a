"""The order of events of one user at one time, which the order of the file does not decide."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.data.ingest.index_ids import Vocabulary

SEED = "tfrec"


def order_ties(log: pl.DataFrame, names: Vocabulary, keys: Sequence[str]) -> pl.DataFrame:
    """The log with equal times in an order that depends on what the events are, not on where they stand in the file.

    At one time, what was shown comes before what was done. Items follow each other in an order that is drawn for each
    user by a seeded hash of both ids, so that no item is favoured; events of one item follow in the order of
    `schema.EVENT_KINDS`.

    Args:
        log: Sorted by `keys`; with the columns user, item_id, event and value.
        names: The ids behind the integers.
        keys: The columns that are equal in a tie: user and timestamp, and the split where it is given.
    """
    if log.is_empty():
        return log
    same = np.ones(log.height - 1, bool)
    for name in keys:
        values = log[name].to_numpy()
        same &= values[1:] == values[:-1]
    if not same.any():
        return log
    tied = np.flatnonzero(np.concatenate([[False], same]) | np.concatenate([same, [False]]))
    group = np.cumsum(~np.concatenate([[False], same]))[tied]
    rows = log[tied]
    kind = rows[schema.EVENT].to_numpy()
    users, items = rows[schema.USER].to_numpy(), rows[schema.ITEM_ID].to_numpy()
    drawn = _mixed(_hashes(names.users, users) + _hashes(names.items, items))
    acted = np.array([name != schema.IMPRESSION for name in names.kinds])[kind]
    value = rows[schema.VALUE].fill_null(0.0).to_numpy()
    order = np.arange(log.height)
    order[tied] = tied[np.lexsort((value, kind, drawn, acted, group))]
    return log[order]


def _hashes(ids: pl.Series, places: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A number of 64 bits for the id at each place; the same on every machine and in every version."""
    distinct, inverse = np.unique(places, return_inverse=True)
    texts = ids.gather(distinct).to_list()
    digests = (hashlib.blake2b(f"{SEED}\0{text}".encode("utf-8", "replace"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), "<u8")[inverse]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al., 2014): sums of two hashes become numbers that look random."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
