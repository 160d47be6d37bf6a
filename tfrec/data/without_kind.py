"""A prepared dataset in whose histories the events of one kind do not occur."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.data.impressions import without_kind


class DatasetWithoutKind(PreparedDataset):
    """A view of a prepared dataset without the events of one kind; `event_kinds` and the catalogue are the same.

    Splits end where they did, so a user without other events has an empty history.

    Args:
        dataset: The dataset. It is not changed.
        kind: Name of the event kind to leave out, one of `dataset.event_kinds` that is never a target.
    """

    def __init__(self, dataset: PreparedDataset, kind: str) -> None:
        super().__init__(dataset.path)
        self._whole, self._kind = dataset.histories(), dataset.event_kinds.index(kind)

    @cached_property
    def _kept(self) -> tuple[Histories, np.ndarray]:
        return without_kind(self._whole, self._kind)

    @cached_property
    def _sequences(self) -> Histories:
        return self._kept[0]

    def _recorded_lengths(self) -> np.ndarray:
        lengths: np.ndarray = self._whole.lengths
        return lengths

    def _split(self, name: str) -> pl.DataFrame:
        frame, before = super()._split(name), self._kept[1]
        first = self._whole.offsets[frame[schema.USER].to_numpy()]
        lengths = before[first + frame[schema.HISTORY_LENGTH].to_numpy()] - before[first]
        frame = frame.with_columns(pl.Series(schema.HISTORY_LENGTH, lengths, pl.Int64))
        return frame.filter(pl.col(schema.HISTORY_LENGTH) > 0) if name == schema.TRAIN else frame
