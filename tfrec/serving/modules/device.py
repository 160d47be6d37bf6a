"""What runs on a device: a NextItemModel and its encoder for one history at a time, with numbers in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.sparse_ops import scatter_sum
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.serving.modules.string_ops import compact

RECOMMEND = "recommend"
FROM_VECTORS = schema.SIGNATURE_RECOMMEND_FROM_VECTORS
ENCODE = "encode"
ITEMS = "items"
HISTORY_VECTORS, HISTORY_MASK, EXCLUDE_ITEMS = schema.HISTORY_VECTORS, schema.HISTORY_MASK, "exclude_items"

Tensors = dict[str, tf.Tensor]


class DeviceRecommender(tf.Module):
    """`recommend` and `recommend_from_text` of `NextItemServing`, for one history of a fixed length.

    Items and event kinds are their numbers in the catalogue and in the run; −1 is padding, or what is not known. All
    shapes are fixed, and the ops are some that LiteRT has.

    Args:
        model: A NextItemModel.
        counts: `[items]`, events of each item in training, which rank the popular items.
        k: Number of items to find, at most the number of items.
        history_length: Events of a history.
        exclude_length: Items that a call may exclude.
        exclude_seen: Whether lists exclude the items of the history.
        allow: bool `[items]`, items that lists may hold; None for all.
        unread: Number of the event kind that is not read; −1 for none.
    """

    def __init__(
        self,
        model: Any,
        counts: Any,
        *,
        k: int,
        history_length: int,
        exclude_length: int,
        exclude_seen: bool,
        allow: Any = None,
        unread: int = -1,
    ) -> None:
        super().__init__(name="device_recommender")
        self.k, self.history_length, self.exclude_length = k, history_length, exclude_length
        self._model, self._exclude_seen, self._unread = _Untracked(model), exclude_seen, unread
        read = model.history_vectors()
        self._table = tf.Variable(model.item_vectors(), trainable=False, name="items")
        self._lengths = tf.Variable(tf.norm(read, axis=1), trainable=False, name="lengths")
        self._counts = tf.constant(np.asarray(counts, np.float32))
        self._allow = None if allow is None else tf.constant(np.asarray(allow, bool))
        spare = {id(weight) for weight in (getattr(model.items, "text", None), getattr(model.items, "ids", None))}
        self._tracked = [weight for weight in model.variables if id(weight) not in spare]
        self.functions = self._signatures(model.text_width)

    def _signatures(self, text_dim: int) -> dict[str, Callable[..., Tensors]]:
        history, exclude = [1, self.history_length], [1, self.exclude_length]
        items = {name: tf.TensorSpec(history, tf.int32, name) for name in (schema.HISTORY_ITEMS, schema.HISTORY_EVENTS)}
        items[EXCLUDE_ITEMS] = tf.TensorSpec(exclude, tf.int32, EXCLUDE_ITEMS)
        functions = {RECOMMEND: tf.function(self.recommend).get_concrete_function(**items)}
        if text_dim:
            vectors = {
                HISTORY_VECTORS: tf.TensorSpec([*history, text_dim], tf.float32, HISTORY_VECTORS),
                HISTORY_MASK: tf.TensorSpec(history, tf.int32, HISTORY_MASK),
                schema.HISTORY_ITEMS: items[schema.HISTORY_ITEMS],
            }
            functions[FROM_VECTORS] = tf.function(self.recommend_from_vectors).get_concrete_function(**vectors)
        return functions

    def recommend(self, history_items: tf.Tensor, history_events: tf.Tensor, exclude_items: tf.Tensor) -> Tensors:
        """The best K items for a history of items.

        Args:
            history_items: int32 `[1, H]`, oldest first.
            history_events: int32 `[1, H]`, the kinds of these events.
            exclude_items: int32 `[1, E]`.

        Returns:
            items int32 `[1, K]` and scores float32 `[1, K]`, best first; count int32 `[1]`, how many are real, the rest
            being −1 with score 0; fallback bool `[1]`, whether they are popular items, for a history of nothing known.
        """
        model = self._model.object
        seen = history_items if self._unread < 0 else tf.where(history_events == self._unread, -1, history_items)
        items, events = compact(seen >= 0, seen, history_events, length=model.memory_history, pads=(-1, -1))
        read, kinds = compact(items >= 0, items, events, length=model.max_history, pads=(-1, -1))
        at = tf.maximum(read, 0)
        length = tf.where(read >= 0, tf.gather(self._lengths, at), 0.0)
        query = model.query_from_vectors(tf.gather(self._table, at) * length[..., None], read >= 0, kinds)
        exclude = tf.concat([exclude_items, seen], axis=1) if self._exclude_seen else exclude_items
        return self._answer(query, model.adjustment(items, events), tf.reduce_any(items >= 0, axis=1), exclude)

    def recommend_from_vectors(
        self, history_vectors: tf.Tensor, history_mask: tf.Tensor, history_items: tf.Tensor
    ) -> Tensors:
        """The best K items for a history of texts, which the encoder has encoded.

        Args:
            history_vectors: float32 `[1, H, text_dim]`, oldest first.
            history_mask: int32 `[1, H]`, 1 where there is a text that is not empty.
            history_items: int32 `[1, H]`, the items that have these very texts, for repeats and exclusions.

        Returns:
            As `recommend`.
        """
        model, real = self._model.object, history_mask > 0
        vectors = model.text_to_vector(history_vectors)
        history, mask = compact(real, vectors, real, length=model.max_history, pads=(0.0, False))
        query = model.query_from_vectors(history, mask)
        seen = tf.where(real, history_items, -1)
        (known,) = compact(seen >= 0, seen, length=model.memory_history, pads=(-1,))
        exclude = seen if self._exclude_seen else tf.fill([1, 1], -1)
        return self._answer(query, model.adjustment(known), tf.reduce_any(real, axis=1), exclude)

    def _answer(
        self, query: tf.Tensor, boost: tuple[tf.Tensor, tf.Tensor], usable: tf.Tensor, exclude: tf.Tensor
    ) -> Tensors:
        cosines = tf.matmul(query, self._table, transpose_b=True)
        # Not tf.tensor_scatter_nd_add: converted, it gives other sums where an index occurs thousands of times.
        scores = tf.where(usable[:, None], cosines + scatter_sum(*boost, tf.shape(cosines)), self._counts)
        excluded = scatter_sum(exclude, tf.ones(tf.shape(exclude)), tf.shape(cosines)) > 0
        allowed = ~excluded if self._allow is None else self._allow & ~excluded
        best = tf.math.top_k(tf.where(allowed, scores, -np.inf), self.k)
        real = best.values > -np.inf
        result = TopKResult(
            tf.where(real, best.values, 0.0),
            tf.where(real, best.indices, -1),
            tf.reduce_sum(tf.cast(real, tf.int32), axis=1),
        )
        return {
            ITEMS: result.indices,
            schema.SCORES: result.scores,
            schema.COUNT: result.count,
            schema.FALLBACK: ~usable,
        }


class DeviceEncoder(tf.Module):
    """The encoder of a run for one text, of token ids: `encode`.

    Args:
        encoder: A TextEncoder.
        seq_length: Token ids of a text, padding included.
    """

    def __init__(self, encoder: Any, seq_length: int) -> None:
        super().__init__(name="device_encoder")
        self._layer = _Untracked(encoder.encoder)
        self._saved = getattr(encoder.encoder, "resolved_object", encoder.encoder)
        names = (schema.INPUT_WORD_IDS, schema.INPUT_MASK)
        specs = {name: tf.TensorSpec([1, seq_length], tf.int32, name) for name in names}
        self.functions = {ENCODE: tf.function(self.encode).get_concrete_function(**specs)}

    def encode(self, input_word_ids: tf.Tensor, input_mask: tf.Tensor) -> Tensors:
        """The vector of a text.

        Args:
            input_word_ids: int32 `[1, L]`, the ids of its tokens in their frame, then padding.
            input_mask: int32 `[1, L]`, 1 for tokens, 0 for padding.

        Returns:
            embeddings float32 `[1, dim]`.
        """
        inputs = {schema.INPUT_WORD_IDS: input_word_ids, schema.INPUT_MASK: input_mask}
        inputs[schema.INPUT_TYPE_IDS] = tf.zeros_like(input_mask)
        return {schema.EMBEDDINGS: self._layer.object(inputs)[schema.POOLED_OUTPUT]}


class _Untracked:
    """Hides a Keras object from the object graph; its variables are tracked otherwise."""

    def __init__(self, object: Any) -> None:
        self.object = object
