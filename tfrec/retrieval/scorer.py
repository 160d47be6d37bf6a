"""The interface of everything that ranks the catalogue. Evaluation and `recommend` use nothing else of a model."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tfrec.data.histories import Histories


class Scorer(Protocol):
    """Scores every item of the catalogue for given histories; higher is better.

    Attributes:
        name: str. Name in tables.
        num_items: int. Number of items in the catalogue.
    """

    name: str
    num_items: int

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """Scores for the given rows of `histories`, float32 `[len(rows), num_items]`. Histories may be empty."""
        ...
