"""Popularity within user segments, for users without a history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.data.impressions import taken
from tfrec.errors import InvalidInput

ITEM = "item"
NO_SEGMENTS = pl.DataFrame(schema={schema.SEGMENT: pl.String, ITEM: pl.UInt32, schema.COUNT: pl.UInt32})


def segments_of(dataset: PreparedDataset, column: str) -> dict[str, str]:
    """Each user's segment: the value of a column of the user table, as a string. Users without a value are left out.

    Raises:
        InvalidInput: The dataset has no user table, or the table has no such column.
    """
    users = dataset.users
    if users is None or column not in users.columns or column == schema.USER_ID:
        found = "no users were given" if users is None else f"the users have {', '.join(users.columns)}"
        raise InvalidInput(
            f"retrieval.segment is {column!r}, but {found}. Name one of their columns, and prepare with --users FILE."
        )
    values = users.select(schema.USER_ID, pl.col(column).cast(pl.String)).drop_nulls()
    return {user: value for user, value in values.iter_rows() if value}


def segment_counts(dataset: PreparedDataset, column: str) -> pl.DataFrame:
    """Counts each item's training events among the users of each segment.

    Args:
        dataset: Provides the training events and the users.
        column: The column of the user table that holds the segments.

    Returns:
        Columns segment (String), item (UInt32, the index) and count (UInt32); only counts above 0 have a row.
    """
    training, segment_of = dataset.training(), segments_of(dataset, column)
    counted = taken(training, dataset.event_kinds)
    names = pl.Series([segment_of.get(user) for user in training.user_ids], dtype=pl.String)
    events = pl.DataFrame(
        {schema.SEGMENT: names[training.rows], ITEM: pl.Series(training.items, dtype=pl.UInt32)}
    ).filter(counted)
    counts = events.drop_nulls().group_by(schema.SEGMENT, ITEM).len(schema.COUNT)
    return counts.with_columns(pl.col(schema.COUNT).cast(pl.UInt32)).sort(schema.SEGMENT, ITEM)


class PopularLists(NamedTuple):
    """The most popular items of each segment; the last row holds the overall most popular items.

    Attributes:
        segments: Names of all rows except the last.
        items: int32 `[segments + 1, most]`, item indices, descending by score.
        scores: float32, same shape.
    """

    segments: list[str]
    items: np.ndarray
    scores: np.ndarray


class SegmentPopularity:
    """Scores items by their training events within the user's segment.

    Items are ranked by their events in the segment; ties are broken by events among all users, then by catalogue order,
    so that even a small segment yields a full list. The score is the number of events in the segment plus a fraction
    below 1 that grows with the events among all users. Users without a segment, or with one that does not occur in
    training, get the overall counts.

    Args:
        counts: The result of `segment_counts`.
        overall: `[num_items]`, training events of each item among all users.
        segments: Maps user ids to segments.

    Example:
        >>> counts = pl.DataFrame({"segment": ["north"], "item": [2], "count": [5]})
        >>> SegmentPopularity(counts, np.array([3, 9, 5]), {"ann": "north"}).of("north").tolist()
        [0.30000001192092896, 0.8999999761581421, 5.5]
    """

    name = "segment_popularity"

    def __init__(self, counts: pl.DataFrame, overall: np.ndarray, segments: Mapping[str, str]) -> None:
        self.num_items, self.overall, self.segments = len(overall), overall.astype(np.float32), segments
        parts: dict[Any, pl.DataFrame] = counts.partition_by(schema.SEGMENT, as_dict=True)
        self._counts = {str(name): (part[ITEM].to_numpy(), part[schema.COUNT]) for (name,), part in parts.items()}

    def of(self, segment: str | None) -> np.ndarray:
        """float32 `[num_items]`: the scores of a segment, or the overall counts if it is unknown."""
        if segment is None or segment not in self._counts:
            return self.overall
        scores = self.overall / (1 + self.overall.max(initial=0))
        items, counts = self._counts[segment]
        scores[items] += counts.to_numpy()
        return scores

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        segments = [self.segments.get(user) for user in histories.user_ids[rows]]
        scores_of = {segment: self.of(segment) for segment in set(segments)}
        return (
            np.stack([scores_of[segment] for segment in segments])
            if segments
            else np.zeros((0, self.num_items), np.float32)
        )

    def lists(self, most: int, allow: np.ndarray | None = None) -> PopularLists:
        """The `most` most popular items (or all, if there are fewer) of each segment and overall.

        Args:
            most: int. Length of the lists.
            allow: bool `[num_items]`, items that may be in them; None for all.
        """
        places = np.arange(self.num_items) if allow is None else np.flatnonzero(allow)
        names = sorted(self._counts)
        scores = [self.of(name) for name in [*names, None]]
        items = np.stack([places[np.argsort(-row[places], kind="stable")[:most]] for row in scores]).astype(np.int32)
        return PopularLists(names, items, np.stack([row[best] for row, best in zip(scores, items, strict=True)]))
