"""The served form of two stages: a NextItemModel retrieves candidates and a ClickRanker ranks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrec import schema
from tfrec.serving.modules.click_ranker import UNKNOWN_SCORE, RankerGraph
from tfrec.serving.modules.item_index import Catalogue
from tfrec.serving.modules.merged_stages import below_candidates, merge_stages, rescaled
from tfrec.serving.modules.next_item import NextItemServing
from tfrec.serving.modules.two_stage_reasons import BothStages, CandidatePool

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

    def _second_stage(self, seen: tf.Tensor, history_events: tf.Tensor) -> Callable[[tf.Tensor], BothStages]:
        query, boost, usable = self._read(seen, history_events)
        exclude = self._excluded(seen, tf.fill([tf.shape(seen)[0], 1], ""))
        pool = min(self._candidates, int(self._index.table.shape[0]))
        more = min(pool + 1, int(self._index.table.shape[0]))  # one more: the best of those that are no candidates
        found = self._index.find(query, usable, more, exclude=exclude, allow=None, boost=boost)
        ranked, _ = self._ranker.scores_and_probabilities(seen, history_events, found.indices)
        real = found.indices >= 0
        chosen = real & (tf.range(more) < pool)
        scale = rescaled(ranked, found.scores, chosen, self._first_stage)
        left_out = tf.where(exclude >= 0, self._scores(query, boost, tf.maximum(exclude, 0)), tf.float32.min)
        others = tf.concat([tf.where(real & ~chosen, found.scores, tf.float32.min), left_out], axis=1)
        below = below_candidates(ranked + scale.of(found.scores), chosen, others)
        candidates = CandidatePool(tf.where(chosen, found.indices, schema.PADDING), scale, below)
        return lambda place: BothStages(self._ranker, seen, history_events, place, candidates)

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
