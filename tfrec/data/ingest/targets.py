"""Which events are targets, and which ratings are negatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.event_kinds import kinds_of
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput


@dataclass(frozen=True)
class Ratings:
    """The ratings of a log, or of a part of it: how many there are, their range, and whether all are 0 or 1."""

    known: int = 0
    low: float = math.inf
    high: float = -math.inf
    binary: bool = True

    def __add__(self, other: Ratings) -> Ratings:
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Ratings(self.known + other.known, low, high, self.binary and other.binary)


@dataclass(frozen=True)
class Dislikes:
    """Which events become dislikes: ratings below `least`; None for none of them. `kinds` has dislike, where needed."""

    kinds: list[str]
    least: float | None = None
    notices: tuple[Notice, ...] = ()


def with_dislikes(
    log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool
) -> tuple[pl.DataFrame, list[str], list[Notice]]:
    """The log with negative ratings as events of the kind dislike, which no model takes for a target.

    A rating is an event of the kind rating, or any event of a log without kinds unless they are purchases. It is
    negative below `data.positive`; by default below 0 where some are, and 0 where all are 0 or 1. A 0 on a scale of
    stars means that nobody rated, and stays.
    """
    ratings = ratings_of(log, kinds, config, default_used)
    rule = dislikes_among(ratings, kinds, config)
    log, negative = mark_dislikes(log, rule, config, default_used)
    return log, rule.kinds, dislike_notices(rule, ratings, negative)


def ratings_of(log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool) -> Ratings:
    """What is to be known of the ratings of a log."""
    values = log[schema.VALUE].to_numpy()[_known_ratings(log, kinds, config, default_used)]
    if not len(values):
        return Ratings()
    low, high = float(values.min()), float(values.max())
    return Ratings(len(values), low, high, low >= 0 and high <= 1 and bool(np.isin(values, (0, 1)).all()))


def dislikes_among(ratings: Ratings, kinds: list[str], config: DataConfig) -> Dislikes:
    """Below which value a rating is negative, by all ratings of the log."""
    if config.positive == "all" or not ratings.known:
        return Dislikes(kinds)
    with_dislike = kinds if schema.DISLIKE in kinds else [*kinds, schema.DISLIKE]
    if config.positive != "auto":
        return Dislikes(with_dislike, float(config.positive))
    if ratings.low < 0:
        return Dislikes(with_dislike, 0.0)
    if ratings.low == 0 and ratings.high == 1 and ratings.binary:
        return Dislikes(with_dislike, 1.0)
    said = (
        f"events: ratings from {ratings.low:g} to {ratings.high:g} are all positive; data.positive says from where on."
    )
    return Dislikes(kinds, None, (Notice(said),) if ratings.low != ratings.high and schema.RATING in kinds else ())


def mark_dislikes(
    log: pl.DataFrame, rule: Dislikes, config: DataConfig, default_used: bool
) -> tuple[pl.DataFrame, int]:
    """The log with its negative ratings as dislikes, and how many they are."""
    if rule.least is None:
        return log, 0
    negative = _known_ratings(log, rule.kinds, config, default_used) & (log[schema.VALUE].to_numpy() < rule.least)
    event = np.where(negative, np.int16(rule.kinds.index(schema.DISLIKE)), log[schema.EVENT].to_numpy())
    return log.with_columns(pl.Series(schema.EVENT, event)), int(negative.sum())


def dislike_notices(rule: Dislikes, ratings: Ratings, negative: int) -> list[Notice]:
    """What the console should say of the rule and of how many ratings it made dislikes."""
    if not negative:
        return list(rule.notices)
    return [
        Notice(f"events: {negative:,} of {ratings.known:,} ratings are below {rule.least:g}: negatives, no targets.")
    ]


def _known_ratings(log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool) -> NDArray[np.bool_]:
    """Whether each event is a rating with a value."""
    rating_kinds = [schema.RATING]
    if default_used and config.default_event != schema.PURCHASE:
        rating_kinds.append(config.default_event)
    rated = np.asarray(np.isin(kinds, rating_kinds)[log[schema.EVENT].to_numpy()])
    return rated & ~np.isnan(log[schema.VALUE].to_numpy())


def is_target(log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool) -> NDArray[np.bool_]:
    """Whether each event is a prediction target: its kind is one, and it is no return.

    Raises:
        InvalidInput: No event has a target kind.
    """
    if config.targets is None:
        chosen = [kind for kind in kinds if kind not in schema.CONTEXT_ONLY_KINDS]
    else:  # named as in the file, or as we call them
        chosen = kinds_of(config.targets, config.event_map)
    if not set(chosen) & set(kinds):
        raise InvalidInput(f"No event has a target kind: expected one of {chosen}; found {kinds}. Set data.targets.")
    kind = log[schema.EVENT].to_numpy()
    target = np.isin(kinds, chosen)[kind]
    # A purchase with a value of 0 or less is a return. Raw retail logs have no event column: there the rule applies to
    # every row, unless the rows are ratings, where 0 means something else.
    unnamed = default_used and config.default_event != schema.RATING
    purchase_kinds = [schema.PURCHASE, config.default_event] if unnamed else [schema.PURCHASE]
    is_purchase = np.isin(kinds, purchase_kinds)[kind]
    is_return = (log[schema.VALUE] <= 0).fill_null(False).to_numpy()
    return np.asarray(target & ~(is_purchase & is_return))
