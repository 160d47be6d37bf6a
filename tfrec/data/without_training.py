"""A prepared dataset from which nothing can be learnt: its queries, without its training sequences."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries


class WithoutTraining(PreparedDataset):
    """A view of a prepared dataset without training sequences, as a catalogue is on its first day.

    Queries, event kinds and the catalogue are the same; nobody has done anything with an item yet.

    Args:
        dataset: The dataset. It is not changed.
    """

    def __init__(self, dataset: PreparedDataset) -> None:
        super().__init__(dataset.path)
        self._whole = dataset

    def training(self) -> Histories:
        """No sequence of nobody."""
        nobody = np.zeros(0, np.int64)
        return self._whole.training().prefixes(nobody, nobody)

    def queries(self, split: str, slice: str = "warm") -> Queries:
        """The queries of the dataset; arguments as for `PreparedDataset.queries`."""
        return self._whole.queries(split, slice)

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue of the dataset, with 0 training events."""
        return self._whole.items.with_columns(pl.col(schema.TRAIN_COUNT) * 0)
