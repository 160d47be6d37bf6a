"""ClickRanker: predicts whether a user views, favourites or buys a candidate. The second stage, after retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.click_ranker.blocks import (
    Describe,
    GatherItems,
    RepeatForCandidates,
    context_inputs,
    encode_context,
    head_logits,
)
from tfrec.models.click_ranker.context_features import ContextFeatures
from tfrec.models.click_ranker.layers import Calibration, Funnel, HistoryPooling, log_complement
from tfrec.models.shared.item_table import ItemTable


class ClickRanker(keras.Model):
    """Predicts the probability of each behaviour from user, candidate and context.

    An item's vector is P · text + id (`ItemTable`). The history is pooled by recency, event kind and similarity to the
    candidate. Further features are how often and how recently the candidate occurs in the history, its training count
    of each behaviour, and the context. A cross network (DCN-V2, Wang et al. 2021, https://arxiv.org/abs/2008.13535,
    with TFRS's `Cross`) combines them, and an MLP maps the result to one logit per head.

    Args:
        num_items: int. Items in the catalogue.
        num_event_kinds: int. Kinds of event in the data.
        behaviours: Names of the heads.
        multi_task: "esmm": the heads in `schema.FUNNEL` are chained, see `Funnel`. "ple": a layer of `Experts`,
            independent heads. "shared": one MLP, independent heads.
        text_dim: int. Width of the text vectors; 0 for none.
        dim: int. Width of item vectors; with text, at most `text_dim`.
        max_history: int. Number of newest events used.
        cross_layers: int. Number of cross layers.
        mlp_units: Widths of the hidden layers after the cross network; at least one for "ple".
        dropout: float in [0, 1).
        use_id: bool. Whether items have an id vector in addition to their text.
        id_rate: float. Learning rate of the id vectors relative to the others (`ItemTable`).
        context: `ContextFeatures.to_json()`, or None for no context.
        seed: int. Seed of the initial weights and the dropout masks.
        dtype_policy: "float32" or "mixed_bfloat16", for the MLP only, because TFRS's `Cross` casts only one of its two
            inputs.
        name: str. Name of the Keras model.

    Inputs (a dict):
        history_items, history_events: int32 `[batch, length]`, oldest first, padded on the right with −1. Events of
            an unknown kind have −1.
        candidates: int32 `[batch, candidates]`, −1 is padding.
        context_numbers: float32 `[batch, numbers]`, context_categories: int32 `[batch, categories]`, from
            `ContextFeatures.encode`; each only if the model has such columns.

    Returns:
        float32 `[batch, candidates, behaviours]`: log-probabilities before calibration, undefined at padding.
        `probabilities` calibrates them. An empty history stands for a user who has done nothing yet.

    Example:
        >>> model = ClickRanker(5, 2, ["view", "purchase"], dim=4, max_history=3, mlp_units=[8])
        >>> probabilities = model.probabilities({"history_items": [[3, 1, -1]], "history_events": [[0, 0, -1]],
        ...                                      "candidates": [[2, 4]]})
        >>> probabilities.shape, bool(tf.reduce_all(probabilities[..., 1] <= probabilities[..., 0]))
        (TensorShape([1, 2, 2]), True)
    """

    def __init__(
        self,
        num_items: int,
        num_event_kinds: int,
        behaviours: Sequence[str],
        multi_task: str = "esmm",
        text_dim: int = 0,
        dim: int = 64,
        max_history: int = 50,
        cross_layers: int = 2,
        mlp_units: Sequence[int] = (256,),
        dropout: float = 0.3,
        use_id: bool = True,
        id_rate: float = 0.2,
        context: dict[str, Any] | None = None,
        seed: int = 0,
        dtype_policy: str = "float32",
        name: str = "click_ranker",
    ) -> None:
        if multi_task not in ("esmm", "ple", "shared") or not behaviours:
            raise InvalidInput(
                f"Expected multi_task esmm, ple or shared and at least one behaviour, received {multi_task!r} and "
                f"{list(behaviours)}."
            )
        chain = funnel_places(behaviours)
        features = ContextFeatures.from_json(context)
        # === Layers ===
        items = ItemTable(num_items, text_dim, dim, use_id=use_id, id_rate=id_rate, name="items")
        pooling = HistoryPooling(max_history, num_event_kinds, name="pooling")
        norms = [keras.layers.LayerNormalization(name=f"{part}_norm") for part in ("user", "attended", "candidate")]
        funnel = Funnel(chain if multi_task == "esmm" else [], dtype="float32", name="funnel")

        # === Functional model ===
        history = keras.Input((None, dim), name="history_vectors")
        kinds = keras.Input((None,), dtype="int32", name=schema.HISTORY_EVENTS)
        mask = keras.Input((None,), dtype="bool", name="history_mask")
        candidate = keras.Input((None, dim), name="candidate_vectors")
        facts = keras.Input((None, len(behaviours) + num_event_kinds + 2), name="facts")
        context_tensors = context_inputs(features)
        user, attended, similarity = pooling(history, kinds, mask, candidate)
        user, attended, candidate_normed = (norm(part) for norm, part in zip(norms, (user, attended, candidate)))
        user = RepeatForCandidates(name="spread_user")([user, candidate])
        product = keras.layers.Multiply()([user, candidate_normed])
        parts = [user, attended, candidate_normed, product, similarity, facts]
        if context_tensors:
            encoded = keras.layers.Concatenate(name="context")(encode_context(context_tensors, features))
            parts.append(RepeatForCandidates(name="spread_context")([encoded, candidate]))
        x0 = keras.layers.Concatenate(name="x0")(parts)
        crossed = x0
        for i in range(cross_layers):
            start = keras.initializers.TruncatedNormal(stddev=0.02, seed=seed * 100 + i)
            rank = x0.shape[-1] // 4
            cross = tfrs.layers.dcn.Cross(rank, kernel_initializer=start, dtype="float32", name=f"cross_{i}")
            crossed = cross(x0, crossed)
        logits = head_logits(crossed, mlp_units, dropout, len(behaviours), multi_task, seed, dtype_policy)
        body_inputs = [history, kinds, mask, candidate, facts, *context_tensors.values()]
        body = keras.Model(body_inputs, funnel(logits), name="body")

        indices = keras.Input((None,), dtype="int32", name=schema.HISTORY_ITEMS)
        candidates = keras.Input((None,), dtype="int32", name=schema.CANDIDATES)
        history_vectors, candidate_vectors = GatherItems(items, name="gather")([indices, candidates])
        describe = Describe(num_items, num_event_kinds, len(behaviours), name="describe")
        counts = describe(indices, kinds, candidates)
        output = body([history_vectors, kinds, indices >= 0, candidate_vectors, counts, *context_tensors.values()])
        inputs = {schema.HISTORY_ITEMS: indices, schema.HISTORY_EVENTS: kinds, schema.CANDIDATES: candidates}
        super().__init__(inputs={**inputs, **context_tensors}, outputs=output, name=name)
        self.body, self.describe, self.context = body, describe, features
        self.calibration = Calibration(chain if multi_task == "esmm" else [], name="calibration")
        self.calibration(tf.zeros([1, 1, len(behaviours)]))

        # === Config ===
        self.num_items, self.behaviours, self.max_history, self.dim = num_items, list(behaviours), max_history, dim
        self.multi_task, self.text_dim = multi_task, text_dim
        self._init_config = {
            "num_items": num_items,
            "num_event_kinds": num_event_kinds,
            "behaviours": list(behaviours),
            "multi_task": multi_task,
            "text_dim": text_dim,
            "dim": dim,
            "max_history": max_history,
            "cross_layers": cross_layers,
            "mlp_units": list(mlp_units),
            "dropout": dropout,
            "use_id": use_id,
            "id_rate": id_rate,
            "context": context,
            "seed": seed,
            "dtype_policy": dtype_policy,
            "name": name,
        }

    @property
    def items(self) -> ItemTable:
        """The layer that holds the item vectors."""
        return self.get_layer("gather").items

    def probabilities(self, inputs: dict[str, Any]) -> tf.Tensor:
        """Calibrated probabilities, float32 `[batch, candidates, behaviours]`; inputs as for the model."""
        tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        return self.calibration(self(tensors, training=False))

    def log_probabilities_of_vectors(self, inputs: dict[str, Any], history: Any, candidates: Any) -> tf.Tensor:
        """The model's output from precomputed item vectors.

        Args:
            inputs: The model's inputs; indices, kinds and context are still needed.
            history: float32 `[batch, length, dim]`, vectors of the history's items.
            candidates: float32 `[batch, candidates, dim]`, vectors of the candidates.

        Returns:
            float32 `[batch, candidates, behaviours]`: log-probabilities before calibration.
        """
        items, kinds = inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS]
        facts = self.describe(items, kinds, inputs[schema.CANDIDATES])
        context = [inputs[name] for name in context_inputs(self.context)]
        return self.body([history, kinds, items >= 0, candidates, facts, *context], training=False)

    def start_at(self, rates: np.ndarray, popularity: np.ndarray, text_vectors: np.ndarray | None) -> None:
        """Initialises the head biases, the popularity features and the text part of the item vectors.

        Args:
            rates: float `[behaviours]`, share of positives of each behaviour, in 0…1.
            popularity: `[num_items, behaviours]`, training events.
            text_vectors: float32 `[num_items, text_dim]`; None for a model without text.
        """
        if text_vectors is not None:
            self.items.start_from(text_vectors)
        self.describe.start_at(popularity)
        given = np.clip(np.asarray(rates, np.float64), 1e-4, 1 - 1e-4)
        starts = given.copy()
        if self.multi_task == "esmm":
            chain = funnel_places(self.behaviours)
            for before, head in pairwise(chain):
                starts[head] = np.clip(given[head] / given[before], 1e-4, 1 - 1e-4)
        bias = self.body.get_layer("logits").bias
        bias.assign(np.log(starts / (1 - starts)).astype(np.float32))

    def get_config(self) -> dict[str, Any]:
        return dict(self._init_config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClickRanker:
        return cls(**config)


def behaviour_loss(weights: Sequence[float]) -> Any:
    """The loss of a ClickRanker: cross-entropy averaged over all labels, weighted by head.

    Labels are float32 `[batch, candidates, behaviours]`; labels of −1 are ignored.

    Args:
        weights: Weight of each head.
    """
    weight = tf.constant(list(weights), tf.float32)

    def loss(labels: tf.Tensor, log_probabilities: tf.Tensor) -> tf.Tensor:
        real = tf.cast(labels >= 0, tf.float32) * weight
        crossed = labels * log_probabilities + (1 - labels) * log_complement(log_probabilities)
        return tf.math.divide_no_nan(-tf.reduce_sum(real * crossed), tf.reduce_sum(real))

    return loss


def funnel_places(behaviours: Sequence[str]) -> list[int]:
    """Indices of the behaviours that are in `schema.FUNNEL`, in the funnel's order.

    Example:
        >>> funnel_places(["purchase", "rating", "view"])
        [2, 0]
    """
    return [list(behaviours).index(kind) for kind in schema.FUNNEL if kind in behaviours]
