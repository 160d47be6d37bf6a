"""The served form of a ClickRanker, alone or as the second stage behind a NextItemModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import ExportConfig
from tfrec.models.click_ranker.context_features import ContextFeatures
from tfrec.models.shared.item_table import lookup
from tfrec.serving.modules.string_ops import compact, index_table

UNKNOWN_SCORE: Final = float(np.finfo(np.float32).min)
"""Score of an unknown or "" candidate: the lowest finite float32, as JSON has no −inf."""

NUMBER_PATTERN: Final = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"

Tensors = dict[str, tf.Tensor]


class RankerGraph(tf.Module):
    """A ClickRanker and its item vectors, as part of a served graph.

    Args:
        model: A ClickRanker.
        event_kinds: Event kinds by index. Other kinds are read as unknown, and impressions are not read.
        weights: Weight of each behaviour in the score.
    """

    def __init__(self, model: Any, event_kinds: Sequence[str], weights: Sequence[float]) -> None:
        super().__init__(name="ranker")
        self.behaviours, self.max_history = list(model.behaviours), model.max_history
        self._events = index_table(list(event_kinds))
        self._impression = list(event_kinds).index(schema.IMPRESSION) if schema.IMPRESSION in event_kinds else -2
        self.weights = dict(zip(self.behaviours, map(float, weights)))
        self._weights = tf.constant(np.asarray(weights, np.float32))
        self._vectors = tf.Variable(model.items.vectors(), trainable=False, name="ranker_items")
        self._context = ContextGraph(model.context)
        # Only captured variables are tracked: not the Keras objects, nor the variables that item vectors are made of.
        spare = {id(weight) for weight in model.items.weights}
        self._tracked = [weight for weight in model.variables if id(weight) not in spare]
        self._untracked = _Untracked(model)

    def scores_and_probabilities(
        self, items: tf.Tensor, events: tf.Tensor, candidates: tf.Tensor, context: Mapping[str, tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and probabilities of candidates.

        Args:
            items: int32 `[batch, length]`, catalogue indices of the history; −1 is padding.
            events: string `[batch, length]`, event kinds of the history.
            candidates: int32 `[batch, candidates]`; −1 is padding.
            context: string `[batch]` by context column; None where the context is unknown.

        Returns:
            scores: float32 `[batch, candidates]`, the weighted sum of the probabilities. probabilities: float32
            `[batch, candidates, behaviours]`. Both are 0 for padding.
        """
        model = self._untracked.model
        kinds = tf.cast(self._events.lookup(events), tf.int32)
        acts = (items >= 0) & (kinds != self._impression)
        items, kinds = compact(acts, items, kinds, length=self.max_history, pads=(-1, -1))
        inputs = {schema.HISTORY_ITEMS: items, schema.HISTORY_EVENTS: kinds, schema.CANDIDATES: candidates}
        inputs |= self._context.encode(context, tf.shape(items)[0])
        vectors = lookup(self._vectors, items), lookup(self._vectors, candidates)
        probabilities = model.calibration(model.log_probabilities_of_vectors(inputs, *vectors))
        probabilities *= tf.cast(candidates >= 0, tf.float32)[..., None]
        return tf.reduce_sum(probabilities * self._weights, axis=2), probabilities

    def probability_outputs(self, probabilities: tf.Tensor) -> Tensors:
        """An output `probability_NAME` `[batch, candidates]` for each behaviour."""
        return {f"{schema.PROBABILITY}_{name}": probabilities[..., i] for i, name in enumerate(self.behaviours)}


class ContextGraph(tf.Module):
    """`ContextFeatures.encode` for strings in a graph. Strings that are no number or no known category are unknown."""

    def __init__(self, features: ContextFeatures) -> None:
        super().__init__(name="context")
        self.columns = features.columns
        self._numbers = dict(features.numbers)
        self._tables = {name: index_table(values) for name, values in features.categories.items()}

    def encode(self, context: Mapping[str, tf.Tensor] | None, rows: tf.Tensor) -> Tensors:
        """The model's context inputs.

        Args:
            context: string `[rows]` by column. Missing columns are unknown.
            rows: int32 scalar.
        """
        given = context or {}
        unknown = tf.fill([rows], "")
        inputs: Tensors = {}
        if self._numbers:
            columns = []
            for name, (mean, deviation) in self._numbers.items():
                text = tf.strings.strip(given.get(name, unknown))
                known = tf.strings.regex_full_match(text, NUMBER_PATTERN)
                value = (tf.strings.to_number(tf.where(known, text, "0")) - mean) / deviation
                columns.append(tf.where(known & tf.math.is_finite(value), value, 0.0))
            inputs[schema.CONTEXT_NUMBERS] = tf.stack(columns, axis=1)
        if self._tables:
            codes = [tf.cast(table.lookup(given.get(name, unknown)), tf.int32) for name, table in self._tables.items()]
            inputs[schema.CONTEXT_CATEGORIES] = tf.stack(codes, axis=1) + 1
        return inputs


class ClickRankerServing(tf.Module):
    """The signatures of a ClickRanker export.

    `rank` = `serving_default`: history_item_ids, history_events `[B, H]`, candidate_item_ids `[B, C]`, and for a model
    with context a string `[B]` for each of its columns ("" is unknown) → `probability_NAME` `[B, C]` for each
    behaviour, and `scores` `[B, C]`, their weighted sum. Unknown and "" candidates have probability 0 and the lowest
    float32 as their score. Unknown items of the history are dropped; an empty history stands for a user who has done
    nothing yet.

    Args:
        model: A ClickRanker.
        item_ids: Ids of the catalogue.
        event_kinds: Event kinds by index.
        weights: Weight of each behaviour in the score.
        config: Sizes of the signature; `history_length` must be set.
    """

    def __init__(
        self,
        model: Any,
        item_ids: Sequence[str],
        *,
        event_kinds: Sequence[str],
        weights: Sequence[float],
        config: ExportConfig,
    ) -> None:
        super().__init__(name="click_ranker_serving")
        self.config, self.context = config, list(model.context.columns)
        self._ids = index_table([str(item) for item in item_ids])
        self._ranker = RankerGraph(model, event_kinds, weights)
        widths = {
            schema.HISTORY_ITEM_IDS: config.history_length,
            schema.HISTORY_EVENTS: config.history_length,
            schema.CANDIDATE_ITEM_IDS: config.candidates_length,
        }
        specs = {name: tf.TensorSpec([None, width], tf.string, name) for name, width in widths.items()}
        specs |= {name: tf.TensorSpec([None], tf.string, name) for name in self.context}
        rank = tf.function(self.rank).get_concrete_function(**specs)
        self.functions: dict[str, Callable[..., Tensors]] = {
            schema.SIGNATURE_DEFAULT: rank,
            schema.SIGNATURE_RANK: rank,
        }

    def rank(
        self,
        history_item_ids: tf.Tensor,
        history_events: tf.Tensor,
        candidate_item_ids: tf.Tensor,
        **context: tf.Tensor,
    ) -> Tensors:
        """Probabilities of each behaviour, and scores, for each candidate.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            candidate_item_ids: string `[B, C]`; "" is padding.
            **context: string `[B]` for each context column of the log; "" where it is not known.

        Returns:
            scores and the probabilities of each behaviour, float32 `[B, C]`; `UNKNOWN_SCORE` for unknown ids.
        """
        items, candidates = (tf.cast(self._ids.lookup(ids), tf.int32) for ids in (history_item_ids, candidate_item_ids))
        scores, probabilities = self._ranker.scores_and_probabilities(items, history_events, candidates, context)
        return {
            **self._ranker.probability_outputs(probabilities),
            schema.SCORES: tf.where(candidates >= 0, scores, UNKNOWN_SCORE),
        }


class _Untracked:
    """Hides the Keras model from the object graph of the SavedModel."""

    def __init__(self, model: Any) -> None:
        self.model = model
