"""Two-stage scoring: one model retrieves candidates from the catalogue, and a ranker orders them."""

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


class CandidatePredictor(Protocol):
    """The interface of the second stage: predicts the behaviours of users towards given candidates.

    Attributes:
        behaviours: list of str. Names of the predicted behaviours.
        max_history: int. Number of newest events that a prediction can depend on.
    """

    behaviours: list[str]
    max_history: int

    def probabilities(self, histories: Histories, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Predicts the probability of each behaviour.

        Args:
            histories: The users' histories.
            rows: int `[n]`, the rows of the histories to predict for.
            candidates: int32 `[n, candidates]`, item indices; −1 is padding.

        Returns:
            float32 `[n, candidates, behaviours]`.
        """
        ...


class TwoStage:
    """A Scorer that re-ranks the best `candidates` items of a first stage with a second one.

    A candidate's score is the weighted sum of the probabilities of its behaviours. With `first_stage`, the score of the
    first stage is added, standardised to the mean and deviation of these sums among the user's candidates. All other
    items rank below the candidates, in the order of the first stage.

    Args:
        first: The first stage, which retrieves.
        predictor: The second stage, which ranks. It gets no request context here.
        weights: One weight per behaviour of the predictor.
        candidates: int. Number of items passed from the first to the second stage.
        first_stage: float. Weight of the first stage's score; with 0 the predictor alone decides the order.
        exclude_seen: bool. Whether to exclude the items of the history from the candidates. Evaluation and `recommend`
            mask them anyway; this keeps them from using up candidate positions.
        impressions: int. Index of the event kind that is hidden from the predictor; −1 for none.

    Raises:
        InvalidInput: The number of weights is not the number of behaviours.
    """

    name = "two-stage"

    def __init__(
        self,
        first: Scorer,
        predictor: CandidatePredictor,
        weights: Sequence[float] | np.ndarray,
        *,
        candidates: int = 100,
        first_stage: float = 0.0,
        exclude_seen: bool = False,
        impressions: int = -1,
    ) -> None:
        if len(weights) != len(predictor.behaviours):
            raise InvalidInput(
                f"Expected a weight for each of {predictor.behaviours}, received {len(weights)} weights."
            )
        self.first, self.predictor, self.num_items = first, predictor, first.num_items
        self.weights = np.asarray(weights, np.float32)
        self.candidates, self.first_stage = min(candidates, first.num_items), first_stage
        self.exclude_seen, self.impressions = exclude_seen, impressions
        self._cached: tuple[Histories, Histories] | None = None

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """Scores for the given rows of `histories`, float32 `[len(rows), num_items]`."""
        return self._scores(*self._stages(histories, rows))

    def parts(self, histories: Histories, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What each part adds to `scores`: float32 `[len(rows), num_items]` by its name.

        "ranker: BEHAVIOUR" is a candidate's probability times the weight of the behaviour, and 0 for other items.
        "first stage" is the rest: its standardised score for candidates, the place below them for others.
        """
        first, items, first_scores, probabilities = self._stages(histories, rows)
        row, column = np.nonzero(items >= 0)
        parts = {}
        for at, behaviour in enumerate(self.predictor.behaviours):
            part = np.zeros_like(first)
            part[row, items[row, column]] = probabilities[row, column, at] * self.weights[at]
            parts[f"ranker: {behaviour}"] = part
        ranked = np.sum(list(parts.values()), axis=0)
        return {**parts, "first stage": self._scores(first, items, first_scores, probabilities) - ranked}

    def _stages(self, histories: Histories, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What both stages say.

        Returns:
            first: float32 `[n, num_items]`, scores of the first stage. items: int32 `[n, candidates]`, −1 is padding.
            first_scores: float32 `[n, candidates]`. probabilities: float32 `[n, candidates, behaviours]`.
        """
        first = np.array(self.first.scores(histories, rows), np.float32)
        seen = seen_items(histories, rows) if self.exclude_seen else None
        items, first_scores, _ = top_k_numpy(first, self.candidates, seen)
        histories = self._without_impressions(histories)
        return first, items, first_scores, self.predictor.probabilities(histories, rows, items.astype(np.int32))

    def _scores(
        self, first: np.ndarray, items: np.ndarray, first_scores: np.ndarray, probabilities: np.ndarray
    ) -> np.ndarray:
        real, first = items >= 0, first.copy()
        values = blend(probabilities @ self.weights, first_scores, real, self.first_stage)
        row, column = np.nonzero(real)
        first[row, items[real]] = -np.inf
        highest = first.max(axis=1, initial=-np.inf)
        lowest = np.where(real, values, np.inf).min(axis=1, initial=np.inf)
        known = np.isfinite(highest) & np.isfinite(lowest)
        first += np.where(known, lowest - highest - 1, 0)[:, None]
        first[row, items[real]] = values[row, column]
        return first

    def _without_impressions(self, histories: Histories) -> Histories:
        """The histories without impressions, cached, as callers score the same histories batch by batch."""
        if self._cached is None or self._cached[0] is not histories:
            self._cached = (histories, without_kind(histories, self.impressions)[0])
        return self._cached[1]


def blend(second: np.ndarray, first: np.ndarray, real: np.ndarray, weight: float) -> np.ndarray:
    """Adds the first stage's scores, standardised per row to the mean and deviation of the second stage's.

    Args:
        second: float `[batch, candidates]`, scores of the second stage.
        first: float `[batch, candidates]`, scores of the first stage.
        real: bool `[batch, candidates]`, false at padding.
        weight: float. Weight of the first stage's scores.

    Returns:
        float `[batch, candidates]`; `second` at padding.

    Example:
        >>> real = np.array([[True, True, False]])
        >>> blend(np.array([[0.4, 0.2, 9.0]]), np.array([[1.0, 3.0, 9.0]]), real, 1.0).tolist()
        [[0.6000000000000001, 0.6000000000000001, 9.0]]
    """
    if not weight:
        return second
    count = np.maximum(real.sum(axis=1, keepdims=True), 1)

    def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = np.where(real, values, 0).sum(axis=1, keepdims=True) / count
        return mean, np.sqrt((np.where(real, values - mean, 0) ** 2).sum(axis=1, keepdims=True) / count)

    mean, deviation = moments(second)
    first_mean, first_deviation = moments(np.where(real, first, 0))
    rescaled = mean + (first - first_mean) / np.maximum(first_deviation, 1e-9) * deviation
    return np.where(real, second + weight * rescaled, second)


def head_weights(behaviours: Sequence[str], weights: Mapping[str, float]) -> np.ndarray:
    """`retrieval.behaviour_weights` as an array.

    Args:
        behaviours: Behaviours of the ranker.
        weights: Behaviour name to weight.

    Returns:
        float32 `[behaviours]`; 0 for a behaviour that is not named, and 1 for all if `weights` is empty.

    Raises:
        InvalidInput: A name is not a behaviour of the ranker.
    """
    unknown = [name for name in weights if name not in behaviours]
    if unknown:
        raise InvalidInput(
            f"retrieval.behaviour_weights names {unknown}; the ranker has {list(behaviours)}. Name one of those."
        )
    return np.array([weights.get(name, 0.0 if weights else 1.0) for name in behaviours], np.float32)
