"""What is popular among people like a newcomer: popularity by a column of the users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

ITEM = "item"
NO_SEGMENTS = pl.DataFrame(schema={schema.SEGMENT: pl.String, ITEM: pl.UInt32, schema.COUNT: pl.UInt32})


def segments_of(dataset: PreparedDataset, column: str) -> dict[str, str]:
    """Each user's value of a column of the users, as a string; users without one are left out.

    Raises:
        InvalidInput: the dataset has no users, or they have no such column.
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
    """Training events of each item among the users of each value of a column.

    Returns:
        Columns segment (String), item (UInt32, the index) and count (UInt32); no row where the count is 0.
    """
    training, of = dataset.training(), segments_of(dataset, column)
    names = pl.Series([of.get(user) for user in training.user_ids], dtype=pl.String)
    events = pl.DataFrame({schema.SEGMENT: names[training.rows], ITEM: pl.Series(training.items, dtype=pl.UInt32)})
    counted = events.drop_nulls().group_by(schema.SEGMENT, ITEM).len(schema.COUNT)
    return counted.with_columns(pl.col(schema.COUNT).cast(pl.UInt32)).sort(schema.SEGMENT, ITEM)


class PopularLists(NamedTuple):
    """The most popular items of each segment, and in the last row those of everybody.

    Attributes:
        segments: names, one a row but the last.
        items: int32 `[segments + 1, most]`, indices by falling score.
        scores: float32 of the same shape.
    """

    segments: list[str]
    items: np.ndarray
    scores: np.ndarray


class SegmentPopularity:
    """Every history gets the scores of its user's segment: how many events each item has there in training.

    What a small segment leaves open is filled from the others: items are ranked by their events in the segment, of
    equal ones by those of everybody, then by their place in the catalogue. The score says both: events in the segment,
    plus a share below 1 of those of everybody. Users without a segment, or of one that training has not seen, get the
    events of everybody.

    Args:
        counts: What `segment_counts` returns.
        overall: `[num_items]`, training events of each item among all users.
        segments: Each user's segment.

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
        """float32 `[num_items]`: the scores of a segment; of everybody where it is not known."""
        if segment is None or segment not in self._counts:
            return self.overall
        scores = self.overall / (1 + self.overall.max(initial=0))
        items, counts = self._counts[segment]
        scores[items] += counts.to_numpy()
        return scores

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        of = [self.segments.get(user) for user in histories.user_ids[rows]]
        known = {segment: self.of(segment) for segment in set(of)}
        return np.stack([known[segment] for segment in of]) if of else np.zeros((0, self.num_items), np.float32)

    def lists(self, most: int) -> PopularLists:
        """The first `most` items of each segment, and of everybody; at most as many as there are."""
        names = sorted(self._counts)
        scores = [self.of(name) for name in [*names, None]]
        items = np.stack([np.argsort(-one, kind="stable")[:most] for one in scores]).astype(np.int32)
        return PopularLists(names, items, np.stack([one[row] for one, row in zip(scores, items, strict=True)]))
