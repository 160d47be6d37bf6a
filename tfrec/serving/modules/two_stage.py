"""A NextItemModel that retrieves and a ClickRanker that ranks, in one graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec import schema
from tfrec.serving.modules.click_ranker import UNKNOWN_SCORE, RankerGraph
from tfrec.serving.modules.item_index import Catalogue
from tfrec.serving.modules.next_item import NextItemServing

Tensors = dict[str, tf.Tensor]


class TwoStageServing(NextItemServing):
    """`NextItemServing` whose `recommend` and `recommend_filtered` are put in order by a ranker.

    As `tfrec.retrieval.two_stage_scorer.TwoStage`: the first `candidates` of a list stand in the order of the ranker's
    score, the others below them in the order of the first stage. `rank` gives the ranker's `scores` and
    `probability_NAME`s.
    Rows without a usable history still get the popular items, and `recommend_from_text` stays with the first stage:
    an item that is known by a text alone has no counts that the ranker could read. The context is unknown.

    Args:
        model, catalogue, **kwargs: As `NextItemServing`'s; without diversity.
        ranker: What ranks.
        candidates: int. Items handed from the first to the second stage.
        first_stage: float. Weight of the first stage's score.
    """

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
        seen = self._indices(self._id_table, history_item_ids)
        query, boost, usable = self._read(seen, history_events)
        exclude = self._excluded(seen, exclude_item_ids)
        pool = min(max(self._candidates, self.k), int(self._index.table.shape[0]))
        found = self._index.find(query, usable, pool, exclude=exclude, allow=allow, boost=boost)
        judged, _ = self._ranker.judge(seen, history_events, found.indices)
        values = in_order(judged, found.scores, found.indices >= 0, self._candidates, self._first_stage)
        values = tf.where(usable[:, None], values, found.scores)
        scores, places = tf.math.top_k(values, self.k)
        indices = tf.gather(found.indices, places, batch_dims=1)
        count = tf.minimum(found.count, self.k)
        return {**self._named(indices, scores, count), schema.FALLBACK: ~usable}

    def rank(self, history_item_ids: tf.Tensor, history_events: tf.Tensor, candidate_item_ids: tf.Tensor) -> Tensors:
        """The ranker's scores and probabilities `[B, C]` of given candidates; unknown ones have the lowest float32."""
        seen = self._indices(self._id_table, history_item_ids)
        candidates = self._indices(self._id_table, candidate_item_ids)
        scores, found = self._ranker.judge(seen, history_events, candidates)
        return {**self._ranker.named(found), schema.SCORES: tf.where(candidates >= 0, scores, UNKNOWN_SCORE)}


def in_order(
    judged: tf.Tensor, first: tf.Tensor, real: tf.Tensor, candidates: int, first_stage: float = 0.0
) -> tf.Tensor:
    """Scores that put the first `candidates` of a list in the order of `judged`, and the others below them.

    Args:
        judged: float32 `[batch, pool]`. first: float32 `[batch, pool]`, descending.
        real: bool `[batch, pool]`, where there is an item; they stand first.
        candidates: int. first_stage: float. See `tfrec.retrieval.two_stage_scorer.blend`.

    Returns:
        float32 `[batch, pool]`, −inf where there is no item.
    """
    chosen = real & (tf.range(tf.shape(first)[1]) < candidates)
    values = judged
    if first_stage:
        mean, deviation = _moments(judged, chosen)
        first_mean, first_deviation = _moments(first, chosen)
        brought = mean + (first - first_mean) / tf.maximum(first_deviation, 1e-9) * deviation
        values += first_stage * brought
    lowest = tf.reduce_min(tf.where(chosen, values, tf.float32.max), axis=1, keepdims=True)
    others = real & ~chosen
    highest = tf.reduce_max(tf.where(others, first, tf.float32.min), axis=1, keepdims=True)
    below = first - highest + lowest - 1
    return tf.where(chosen, values, tf.where(others, below, -float("inf")))


def _moments(values: tf.Tensor, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and deviation of the real values of each row, `[batch, 1]`."""
    count = tf.maximum(tf.reduce_sum(tf.cast(real, tf.float32), axis=1, keepdims=True), 1.0)
    mean = tf.reduce_sum(tf.where(real, values, 0.0), axis=1, keepdims=True) / count
    squares = tf.reduce_sum(tf.where(real, (values - mean) ** 2, 0.0), axis=1, keepdims=True)
    return mean, tf.sqrt(squares / count)
