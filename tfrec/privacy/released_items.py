"""The catalogue of a private run: what it may tell of the events is counts with noise, if anything."""

from __future__ import annotations

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput


def refuse_items_of_events_alone(items: pl.DataFrame) -> None:
    """Raises InvalidInput where the catalogue has items that no items file lists."""
    if schema.IN_CATALOGUE not in items.columns:
        return
    alone = items.filter(~pl.col(schema.IN_CATALOGUE).fill_null(True))
    if alone.height:
        raise InvalidInput(
            f"{alone.height} items, such as {alone[schema.ITEM_ID][0]!r}, are known from events alone. That they are "
            "in the run would tell that somebody took them. Prepare with an items file that has every item."
        )


def released_items(items: pl.DataFrame, counts: np.ndarray | None) -> pl.DataFrame:
    """The catalogue with noisy counts in the place of its own, or with zeros without them.

    Args:
        items: The catalogue.
        counts: float `[num_items]`, the result of `noisy_counts`; None without.
    """
    shown = np.zeros(items.height) if counts is None else np.rint(counts)
    return items.with_columns(pl.Series(schema.TRAIN_COUNT, shown).cast(items[schema.TRAIN_COUNT].dtype))
