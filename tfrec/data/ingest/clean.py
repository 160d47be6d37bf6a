"""Cleaning rules for the indexed log, sorted by user and time. Most return a mask of the rows to drop."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema

Mask = NDArray[np.bool_]


def exact_duplicates(log: pl.DataFrame) -> Mask:
    """True for rows that equal an earlier row in every column.

    Only rows with the user and time of a neighbour are compared, which is cheap on a log with a clock.
    """
    tied = (pl.col(schema.USER) == pl.col(schema.USER).shift()) & (
        pl.col(schema.TIMESTAMP) == pl.col(schema.TIMESTAMP).shift()
    )
    tied = tied.fill_null(False)
    suspect = log.select((tied | tied.shift(-1).fill_null(False)).arg_true()).to_series()
    repeated = np.zeros(log.height, bool)
    if len(suspect):
        again = ~log[suspect].select(pl.struct(pl.all()).is_first_distinct()).to_series()
        repeated[suspect.filter(again).to_numpy()] = True
    return repeated


def near_duplicates(log: pl.DataFrame, seconds: float) -> Mask:
    """True for events that follow one of the same user, item and kind within `seconds`, whether that one is kept."""
    keys = [schema.USER, schema.ITEM_ID, schema.EVENT]
    gap = pl.col(schema.TIMESTAMP) - pl.col(schema.TIMESTAMP).shift().over(keys)
    return log.select((gap <= seconds * 1e6).fill_null(False)).to_series().to_numpy()


def inhuman_rate(log: pl.DataFrame, per_minute: float) -> Mask:
    """True for all events of users who have more than `per_minute` events within any 60 seconds."""
    user, time = log[schema.USER].to_numpy(), log[schema.TIMESTAMP].to_numpy()
    step = int(per_minute)  # more than `step` events in a minute: events i and i + step are less than 60 s apart
    if step >= len(user):
        return np.zeros(len(user), bool)
    fast = (user[step:] == user[: len(user) - step]) & (time[step:] - time[: len(user) - step] < 60_000_000)
    too_fast = np.zeros(int(user.max(initial=0)) + 1, bool)
    too_fast[user[step:][fast]] = True
    return too_fast[user]


def outside_core(log: pl.DataFrame, min_user_events: int, min_item_events: int) -> Mask:
    """True for events outside the k-core: users and items below their minimum are removed until none is left."""
    user, item = log[schema.USER].to_numpy(), log[schema.ITEM_ID].to_numpy()
    keep = np.ones(len(user), bool)
    while True:
        users, items = np.bincount(user[keep], minlength=1), np.bincount(item[keep], minlength=1)
        users = np.pad(users, (0, max(0, int(user.max(initial=0)) + 1 - len(users))))
        items = np.pad(items, (0, max(0, int(item.max(initial=0)) + 1 - len(items))))
        remaining = keep & (users[user] >= min_user_events) & (items[item] >= min_item_events)
        if remaining.sum() == keep.sum():
            return ~keep
        keep = remaining


def centre_ratings(log: pl.DataFrame, rating_kind: int) -> pl.DataFrame:
    """The log with each user's mean rating subtracted from the values of their rating events."""
    is_rating = pl.col(schema.EVENT) == rating_kind
    mean = pl.col(schema.VALUE).mean().over([schema.USER, schema.EVENT])
    return log.with_columns(pl.when(is_rating).then(pl.col(schema.VALUE) - mean).otherwise(pl.col(schema.VALUE)))
