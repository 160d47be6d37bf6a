"""The one interface of everything that ranks the catalogue: evaluation and `recommend` know nothing else."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tfrec.data.histories import Histories


class Scorer(Protocol):
    """Gives every item of the catalogue a score for some histories; higher is better.

    Attributes:
        name: str. What it is called in tables.
        num_items: int. Items in the catalogue.
    """

    name: str
    num_items: int

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: the scores for the given rows of `histories`. Empty histories are legal."""
        ...
