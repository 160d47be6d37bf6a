"""Which events are targets, and which ratings are negatives."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.event_kinds import kinds_of
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput


def with_dislikes(
    log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool
) -> tuple[pl.DataFrame, list[str], list[Notice]]:
    """The log with negative ratings as events of the kind dislike, which no model takes for a target.

    A rating is an event of the kind rating, or any event of a log without kinds unless they are purchases. It is
    negative below `data.positive`; by default below 0 where some are, and 0 where all are 0 or 1. A 0 on a scale of
    stars means that nobody rated, and stays.
    """
    rated = _rated(log, kinds, config, default_used)
    values = log[schema.VALUE].to_numpy()
    known = rated & ~np.isnan(values)
    if config.positive == "all" or not known.any():
        return log, kinds, []
    low, high = float(values[known].min()), float(values[known].max())
    if config.positive != "auto":
        least = float(config.positive)
    elif low < 0:
        least = 0.0
    elif low == 0 and high == 1 and bool(np.isin(values[known], (0, 1)).all()):
        least = 1.0
    else:
        said = f"events: ratings from {low:g} to {high:g} are all positive; data.positive says from where on."
        return log, kinds, [Notice(said)] if low != high and schema.RATING in kinds else []
    negative = known & (values < least)
    if not negative.any():
        return log, kinds, []
    if schema.DISLIKE not in kinds:
        kinds = [*kinds, schema.DISLIKE]
    code = kinds.index(schema.DISLIKE)
    event = np.where(negative, np.int16(code), log[schema.EVENT].to_numpy())
    said = (
        f"events: {int(negative.sum()):,} of {int(known.sum()):,} ratings are below {least:g}: negatives, no targets."
    )
    return log.with_columns(pl.Series(schema.EVENT, event)), kinds, [Notice(said)]


def _rated(log: pl.DataFrame, kinds: list[str], config: DataConfig, default_used: bool) -> NDArray[np.bool_]:
    rating_kinds = [schema.RATING]
    if default_used and config.default_event != schema.PURCHASE:
        rating_kinds.append(config.default_event)
    return np.asarray(np.isin(kinds, rating_kinds)[log[schema.EVENT].to_numpy()])


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
