"""The one interface that evaluation and recommendation know of a model."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tfrec.data.dataset import Histories


class Scorer(Protocol):
    """Scores the whole catalogue for histories; higher is better."""

    name: str
    num_items: int

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: scores for the given rows of `histories`."""
        ...
