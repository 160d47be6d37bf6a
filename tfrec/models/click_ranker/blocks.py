"""Building blocks of ClickRanker: item lookup, candidate features, context inputs and the output heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.keras import keras
from tfrec.models.click_ranker.context_features import ContextFeatures
from tfrec.models.click_ranker.layers import Experts, Occurrences
from tfrec.models.shared.item_table import ItemTable, lookup
from tfrec.models.shared.step_dropout import StepDropout

CATEGORY_DIM = 8
"""Embedding width of a context category."""


class GatherItems(keras.layers.Layer):
    """Looks up item vectors for several int32 `[batch, …]` index tensors; the `ItemTable` is projected only once."""

    def __init__(self, items: ItemTable, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.items = items

    def build(self, input_shape: Any) -> None:
        if not self.items.built:
            self.items.build(None)
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        vectors = self.items.vectors()
        return [lookup(vectors, indices) for indices in inputs]


class Describe(keras.layers.Layer):
    """Count features of candidates: training events per behaviour, and `Occurrences` in the user's history."""

    def __init__(self, num_items: int, num_event_kinds: int, behaviours: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items, self.behaviours = num_items, behaviours
        self.occurrences = Occurrences(num_event_kinds)

    def build(self, input_shape: Any) -> None:
        shape = (self.num_items, self.behaviours)
        self.popularity = self.add_weight("popularity", shape=shape, initializer="zeros", trainable=False)
        super().build(input_shape)

    def start_at(self, counts: np.ndarray) -> None:
        """Sets the popularity features to log(1 + counts) of `[num_items, behaviours]`, standardised per behaviour."""
        logs = np.log1p(np.asarray(counts, np.float64))
        self.popularity.assign(((logs - logs.mean(0)) / np.maximum(logs.std(0), 1e-6)).astype(np.float32))

    def call(self, history: tf.Tensor, kinds: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        popularity = lookup(self.popularity, candidates)
        return tf.concat([popularity, self.occurrences(history, kinds, candidates)], axis=2)


class RepeatForCandidates(keras.layers.Layer):
    """Repeats a user's vector for each candidate.

    Call arguments:
        inputs: vector `[batch, n]` and candidates `[batch, count, …]`, which only give the count.

    Returns:
        `[batch, count, n]`.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        vector, candidates = inputs
        return tf.repeat(vector[:, None], tf.shape(candidates)[1], axis=1)


def context_inputs(features: ContextFeatures) -> dict[str, Any]:
    """The model's context inputs by name; only those for which there are columns."""
    inputs = {}
    if features.numbers:
        inputs[schema.CONTEXT_NUMBERS] = keras.Input((len(features.numbers),), name=schema.CONTEXT_NUMBERS)
    if features.categories:
        shape = (len(features.categories),)
        inputs[schema.CONTEXT_CATEGORIES] = keras.Input(shape, dtype="int32", name=schema.CONTEXT_CATEGORIES)
    return inputs


def encode_context(context: dict[str, Any], features: ContextFeatures) -> list[Any]:
    """The context as parts of the cross network's input; embeddings of categories start at zero."""
    parts = [context[schema.CONTEXT_NUMBERS]] if features.numbers else []
    for column, values in enumerate(features.categories.values()):
        code = context[schema.CONTEXT_CATEGORIES][:, column]
        name = f"category_{column}"
        parts.append(keras.layers.Embedding(len(values) + 1, CATEGORY_DIM, "zeros", name=name)(code))
    return parts


def head_logits(
    crossed: Any, units: Sequence[int], dropout: float, heads: int, multi_task: str, seed: int, policy: str
) -> Any:
    """Hidden layers and one logit per head.

    Args:
        crossed: Output of the cross network, `[batch, candidates, width]`.
        units: Widths of the hidden layers.
        dropout: float in [0, 1).
        heads: int. Number of heads.
        multi_task: With "ple", the last hidden layer is `Experts`.
        seed: int. Seed of the initial weights and the dropout masks.
        policy: Keras dtype policy of the hidden layers.

    Returns:
        float32 `[batch, candidates, heads]`.
    """
    hidden = StepDropout(dropout, seed * 100, dtype=policy)(crossed)
    for i, width in enumerate(units):
        if multi_task == "ple" and i == len(units) - 1:
            hidden = Experts(heads, width, seed * 100 + 50, dtype="float32", name="experts")(hidden)
        else:
            start = keras.initializers.GlorotUniform(seed=seed * 100 + 10 + i)
            layer = keras.layers.Dense(width, "gelu", kernel_initializer=start, dtype=policy, name=f"hidden_{i}")
            hidden = layer(hidden)
        hidden = StepDropout(dropout, seed * 100 + 1 + i, dtype=policy)(hidden)
    return HeadLogits(heads, dtype="float32", name="logits")(hidden)


class HeadLogits(keras.layers.Layer):
    """One logit per head, from features shared by the heads, `[batch, candidates, width]`, or separate for each head,
    `[batch, candidates, heads, width]`. The kernel starts at zero."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight("kernel", shape=(self.heads, input_shape[-1]), initializer="zeros")
        self.bias = self.add_weight("bias", shape=(self.heads,), initializer="zeros")
        self.separate = len(input_shape) == 4
        super().build(input_shape)

    def call(self, hidden: tf.Tensor) -> tf.Tensor:
        hidden = tf.cast(hidden, tf.float32)
        return tf.einsum("bchw,hw->bch" if self.separate else "bcw,hw->bch", hidden, self.kernel) + self.bias
