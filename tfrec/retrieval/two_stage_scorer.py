"""Two stages: one model finds candidates in the catalogue, a ranker puts them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tfrec.data.histories import Histories
from tfrec.data.impressions import without_kind
from tfrec.errors import InvalidInput
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.top_items import seen_items
from tfrec.retrieval.top_k_numpy import top_k_numpy


class Judge(Protocol):
    """What the second stage has to be; `ClickRankerJudge` is one."""

    behaviours: list[str]

    def probabilities(self, histories: Histories, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """float32 `[n, candidates, behaviours]` of candidates int32 `[n, candidates]`, −1 is padding."""
        ...


class TwoStage:
    """A Scorer whose best `candidates` items are those of the first stage, in the order of the second.

    The score of a candidate is the weighted sum of the probabilities of its behaviours, plus, with `first_stage`, the
    first stage's score, brought to the mean and the deviation that the sums have among the user's candidates. All
    other items follow below, in the order of the first stage.

    Args:
        first: What retrieves.
        judge: What ranks. The context of the request is unknown to it.
        weights: One a behaviour of the judge.
        candidates: int. Items handed from the first to the second stage.
        first_stage: float. Weight of the first stage's score; 0 leaves the order to the judge alone.
        exclude_seen: bool. Whether items of the history are left out of the candidates. Evaluation and `recommend`
            mask them from the scores; this keeps them from taking the candidates' places.
        impressions: int. Index of the event kind that the judge does not read; −1 for none.
    """

    name = "two-stage"

    def __init__(
        self,
        first: Scorer,
        judge: Judge,
        weights: Sequence[float] | np.ndarray,
        *,
        candidates: int = 100,
        first_stage: float = 0.0,
        exclude_seen: bool = False,
        impressions: int = -1,
    ) -> None:
        if len(weights) != len(judge.behaviours):
            raise InvalidInput(f"Expected a weight for each of {judge.behaviours}, received {len(weights)} weights.")
        self.first, self.judge, self.num_items = first, judge, first.num_items
        self.weights = np.asarray(weights, np.float32)
        self.candidates, self.first_stage = min(candidates, first.num_items), first_stage
        self.exclude_seen, self.impressions = exclude_seen, impressions
        self._clean: tuple[Histories, Histories] | None = None

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        first = np.array(self.first.scores(histories, rows), np.float32)
        seen = seen_items(histories, rows) if self.exclude_seen else None
        places, found, _ = top_k_numpy(first, self.candidates, seen)
        judged = self.judge.probabilities(self._acts(histories), rows, places.astype(np.int32)) @ self.weights
        real = places >= 0
        values = blend(judged, found, real, self.first_stage)
        row, column = np.nonzero(real)
        first[row, places[real]] = -np.inf
        highest = first.max(axis=1, initial=-np.inf)
        lowest = np.where(real, values, np.inf).min(axis=1, initial=np.inf)
        known = np.isfinite(highest) & np.isfinite(lowest)
        first += np.where(known, lowest - highest - 1, 0)[:, None]
        first[row, places[real]] = values[row, column]
        return first

    def _acts(self, histories: Histories) -> Histories:
        """Without impressions; kept, as the same histories are asked about again and again."""
        if self._clean is None or self._clean[0] is not histories:
            self._clean = (histories, without_kind(histories, self.impressions)[0])
        return self._clean[1]


def blend(judged: np.ndarray, first: np.ndarray, real: np.ndarray, weight: float) -> np.ndarray:
    """`judged` plus `weight` times the first stage's scores, brought to the mean and deviation of `judged` in each row.

    Args:
        judged: float `[batch, candidates]`. first: float, the same shape. real: bool, where there is a candidate; what
            stands elsewhere is ignored, and left as it is.
        weight: float.

    Example:
        >>> real = np.array([[True, True, False]])
        >>> blend(np.array([[0.4, 0.2, 9.0]]), np.array([[1.0, 3.0, 9.0]]), real, 1.0).tolist()
        [[0.6000000000000001, 0.6000000000000001, 9.0]]
    """
    if not weight:
        return judged
    count = np.maximum(real.sum(axis=1, keepdims=True), 1)

    def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = np.where(real, values, 0).sum(axis=1, keepdims=True) / count
        return mean, np.sqrt((np.where(real, values - mean, 0) ** 2).sum(axis=1, keepdims=True) / count)

    mean, deviation = moments(judged)
    first_mean, first_deviation = moments(np.where(real, first, 0))
    brought = mean + (first - first_mean) / np.maximum(first_deviation, 1e-9) * deviation
    return np.where(real, judged + weight * brought, judged)


def head_weights(behaviours: Sequence[str], weights: Mapping[str, float]) -> np.ndarray:
    """float32 `[behaviours]`: `retrieval.behaviour_weights`; 0 for those left out, 1 for all when none is set.

    Raises:
        InvalidInput: a name that is no behaviour of the ranker.
    """
    unknown = [name for name in weights if name not in behaviours]
    if unknown:
        raise InvalidInput(
            f"retrieval.behaviour_weights names {unknown}; the ranker has {list(behaviours)}. Name one of those."
        )
    return np.array([weights.get(name, 0.0 if weights else 1.0) for name in behaviours], np.float32)
