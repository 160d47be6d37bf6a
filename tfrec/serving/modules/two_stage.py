"""The served form of two stages: a NextItemModel retrieves candidates and a ClickRanker ranks them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec import schema
from tfrec.serving.modules.click_ranker import UNKNOWN_SCORE, RankerGraph
from tfrec.serving.modules.item_index import Catalogue
from tfrec.serving.modules.next_item import NextItemServing

Tensors = dict[str, tf.Tensor]


class TwoStageServing(NextItemServing):
    """`NextItemServing` with a ranker that re-ranks `recommend` and `recommend_filtered`.

    Lists are those of `tfrec.retrieval.two_stage_scorer.TwoStage`: the first `candidates` items are ordered by the
    ranker's score, and the others follow in the order of the first stage. `rank` answers the ranker's `scores` and
    `probability_NAME`s. Rows without a usable history still get popular items. `recommend_from_text` uses the first
    stage alone, because the ranker needs counts of the history's items, which texts do not have. The ranker's context
    is unknown.

    Args:
        model: As for `NextItemServing`.
        catalogue: As for `NextItemServing`.
        ranker: The second stage.
        candidates: Number of items handed to the second stage.
        first_stage: Weight of the first stage's score.
        **kwargs: Other arguments of `NextItemServing`; diversity must be 0.
    """

    explains = False  # what the ranker scores, events and parts of the first stage do not explain

    def __init__(
        self,
        model: Any,
        catalogue: Catalogue,
        *,
        ranker: RankerGraph,
        candidates: int,
        first_stage: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self._ranker, self._candidates, self._first_stage = ranker, candidates, first_stage
        super().__init__(model, catalogue, **kwargs)

    def _recommend(
        self, history_item_ids: tf.Tensor, history_events: tf.Tensor, exclude_item_ids: tf.Tensor, allow: Any
    ) -> Tensors:
        seen = self._history(history_item_ids, history_events)
        query, boost, usable = self._read(seen, history_events)
        exclude = self._excluded(seen, exclude_item_ids)
        pool = min(max(self._candidates, self.k), int(self._index.table.shape[0]))
        retrieved = self._index.find(query, usable, pool, exclude=exclude, allow=allow, boost=boost)
        ranked, _ = self._ranker.scores_and_probabilities(seen, history_events, retrieved.indices)
        values = merge_stages(ranked, retrieved.scores, retrieved.indices >= 0, self._candidates, self._first_stage)
        values = tf.where(usable[:, None], values, retrieved.scores)
        scores, places = tf.math.top_k(values, self.k)
        indices = tf.gather(retrieved.indices, places, batch_dims=1)
        count = tf.minimum(retrieved.count, self.k)
        return {**self._item_outputs(indices, scores, count), schema.FALLBACK: ~usable}

    def rank(self, history_item_ids: tf.Tensor, history_events: tf.Tensor, candidate_item_ids: tf.Tensor) -> Tensors:
        """The ranker's scores and probabilities of candidates.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            candidate_item_ids: string `[B, C]`; "" is padding.

        Returns:
            scores and the probabilities of each behaviour, float32 `[B, C]`; the lowest float32 for unknown ids.
        """
        seen = self._history(history_item_ids, history_events)
        candidates = self._indices(self._id_table, candidate_item_ids)
        scores, probabilities = self._ranker.scores_and_probabilities(seen, history_events, candidates)
        return {
            **self._ranker.probability_outputs(probabilities),
            schema.SCORES: tf.where(candidates >= 0, scores, UNKNOWN_SCORE),
        }


def merge_stages(
    ranked: tf.Tensor, first: tf.Tensor, real: tf.Tensor, candidates: int, first_stage: float = 0.0
) -> tf.Tensor:
    """Scores that order the first `candidates` of each list by the ranker, with the other items below them.

    Args:
        ranked: float32 `[batch, pool]`, the ranker's scores.
        first: float32 `[batch, pool]`, the first stage's scores, descending.
        real: bool `[batch, pool]`, false for padding, which stands at the end of a row.
        candidates: Number of items that the ranker orders.
        first_stage: Weight of the first stage's score, as in `tfrec.retrieval.two_stage_scorer.blend`.

    Returns:
        float32 `[batch, pool]`; −inf for padding.
    """
    chosen = real & (tf.range(tf.shape(first)[1]) < candidates)
    values = ranked
    if first_stage:
        mean, deviation = _mean_and_deviation(ranked, chosen)
        first_mean, first_deviation = _mean_and_deviation(first, chosen)
        standardised = mean + (first - first_mean) / tf.maximum(first_deviation, 1e-9) * deviation
        values += first_stage * standardised
    lowest = tf.reduce_min(tf.where(chosen, values, tf.float32.max), axis=1, keepdims=True)
    others = real & ~chosen
    highest = tf.reduce_max(tf.where(others, first, tf.float32.min), axis=1, keepdims=True)
    below = first - highest + lowest - 1
    return tf.where(chosen, values, tf.where(others, below, -float("inf")))


def _mean_and_deviation(values: tf.Tensor, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation of the real values of each row, `[batch, 1]`."""
    count = tf.maximum(tf.reduce_sum(tf.cast(real, tf.float32), axis=1, keepdims=True), 1.0)
    mean = tf.reduce_sum(tf.where(real, values, 0.0), axis=1, keepdims=True) / count
    squares = tf.reduce_sum(tf.where(real, (values - mean) ** 2, 0.0), axis=1, keepdims=True)
    return mean, tf.sqrt(squares / count)
