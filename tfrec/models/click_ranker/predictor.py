"""Predicts with a ClickRanker on arrays: takes histories and candidates, returns NumPy probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.shared.item_table import lookup


class ClickRankerPredictor:
    """Predicts the probabilities of candidates with a ClickRanker; the graph is traced only once.

    Item vectors are computed on construction; call `refresh` after further training.

    Args:
        model: The model.
        batch_size: int. Rows per batch.
    """

    def __init__(self, model: ClickRanker, batch_size: int = 512) -> None:
        self.model, self.behaviours, self.batch_size = model, model.behaviours, batch_size
        self.max_history = model.max_history
        self._vectors = tf.Variable(model.items.vectors(), trainable=False)
        matrix = tf.TensorSpec([None, None], tf.int32)
        spec = {name: matrix for name in (schema.HISTORY_ITEMS, schema.HISTORY_EVENTS, schema.CANDIDATES)}
        for name, value in model.context.encode(None, 1).items():
            spec[name] = tf.TensorSpec([None, value.shape[1]], tf.as_dtype(value.dtype))
        self._predict = tf.function(self._log_probabilities, input_signature=[spec])

    def refresh(self) -> None:
        """Recomputes the item vectors from the model's current weights."""
        self._vectors.assign(self.model.items.vectors())

    def probabilities(
        self,
        histories: Histories,
        rows: np.ndarray,
        candidates: np.ndarray,
        *,
        stops: np.ndarray | None = None,
        context: Mapping[str, np.ndarray] | None = None,
        calibrated: bool = True,
    ) -> np.ndarray:
        """The probability of each behaviour for each candidate.

        Args:
            histories: Histories without impressions (see `without_kind`).
            rows: int `[n]`, rows of the histories.
            candidates: int32 `[n, candidates]`, −1 is padding.
            stops: int `[n]`, flat position just after the newest event to use; None for the whole row.
            context: `context_*` columns `[n]`; None if unknown.
            calibrated: bool. Whether to apply the calibration.

        Returns:
            float32 `[n, candidates, behaviours]`; undefined at padding.
        """
        rows, candidates = np.asarray(rows), np.asarray(candidates, np.int32)
        stops = histories.offsets[rows + 1] if stops is None else stops
        probabilities = np.zeros((*candidates.shape, len(self.behaviours)), np.float32)
        for start in range(0, len(rows), self.batch_size):
            part = slice(start, start + self.batch_size)
            context_part = None if context is None else {name: values[part] for name, values in context.items()}
            inputs = recent_events(histories, rows[part], stops[part], self.model.max_history)
            inputs[schema.CANDIDATES] = candidates[part]
            logs = self._predict({**inputs, **self.model.context.encode(context_part, len(rows[part]))})
            probabilities[part] = (self.model.calibration(logs) if calibrated else tf.exp(logs)).numpy()
        return probabilities

    def _log_probabilities(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        history = lookup(self._vectors, inputs[schema.HISTORY_ITEMS])
        candidates = lookup(self._vectors, inputs[schema.CANDIDATES])
        return self.model.log_probabilities_of_vectors(inputs, history, candidates)


def recent_events(histories: Histories, rows: np.ndarray, stops: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """The newest events before the flat positions `stops`, oldest first, padded on the right.

    Args:
        histories: The events.
        rows: int `[n]`, rows of the histories.
        stops: int `[n]`, flat position just after the newest event of each row to use.
        length: int. Maximum number of events per row.

    Returns:
        `history_items` and `history_events`, int32 `[n, longest]`, −1 at padding. `longest` is between 1 and
        `length`.
    """
    starts = np.maximum(histories.offsets[rows], stops - length)
    lengths = stops - starts
    column = np.arange(max(1, lengths.max(initial=0)))
    real = column < lengths[:, None]
    if not len(histories.items):
        empty = np.full(real.shape, schema.PADDING, np.int32)
        return {schema.HISTORY_ITEMS: empty, schema.HISTORY_EVENTS: empty}
    at = np.where(real, starts[:, None] + column, 0)
    return {
        schema.HISTORY_ITEMS: np.where(real, histories.items[at], schema.PADDING).astype(np.int32),
        schema.HISTORY_EVENTS: np.where(real, histories.events[at], schema.PADDING).astype(np.int32),
    }
