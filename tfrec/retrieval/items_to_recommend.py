"""Which items may be in lists: the rule of `retrieval.only_catalogue`, and a scorer that keeps to it."""

from __future__ import annotations

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.histories import Histories
from tfrec.retrieval.scorer import Scorer


def items_to_recommend(config: RunConfig, items: pl.DataFrame) -> np.ndarray | None:
    """Which items may be recommended and served.

    Items that are gone from the catalogue still occur in the log. Models learn from them and read them in histories,
    but nobody can get them any more.

    Args:
        config: The option is `retrieval.only_catalogue`.
        items: The items of a run or of prepared data, one row each.

    Returns:
        bool `[num_items]`; None for all.

    Example:
        >>> items = pl.DataFrame({"item_id": ["a", "gone"], "in_catalogue": [True, False]})
        >>> items_to_recommend(RunConfig(), items).tolist()
        [True, False]
    """
    if not config.retrieval.only_catalogue or schema.IN_CATALOGUE not in items.columns:
        return None
    # Items that were added to a run after its training have no mark.
    mask: np.ndarray = items[schema.IN_CATALOGUE].fill_null(True).to_numpy()
    return mask


class CandidateScorer:
    """Restricts a scorer to a set of candidates.

    Args:
        scorer: The scorer.
        candidates: bool `[num_items]`, true at candidates.
    """

    def __init__(self, scorer: Scorer, candidates: np.ndarray) -> None:
        self.scorer, self.candidates = scorer, candidates
        self.name, self.num_items = scorer.name, scorer.num_items

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`: the scorer's scores; −inf for items that are not candidates."""
        return np.where(self.candidates, self.scorer.scores(histories, rows), np.float32(-np.inf))


def among(scorer: Scorer, candidates: np.ndarray | None) -> Scorer:
    """The scorer restricted to candidates, bool `[num_items]`; unchanged for None."""
    return scorer if candidates is None else CandidateScorer(scorer, candidates)
