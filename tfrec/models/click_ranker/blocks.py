"""What ClickRanker is put together from: how items, counts and context reach its cross network, and its heads."""

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
"""Width of the embedding of a context category."""


class GatherItems(keras.layers.Layer):
    """Vectors of history and candidates, `[batch, …]` int32 each, from an `ItemTable` that is projected once."""

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
    """What is counted about candidates: training events of each behaviour, and their `Occurrences` in the history."""

    def __init__(self, num_items: int, num_event_kinds: int, behaviours: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items, self.behaviours = num_items, behaviours
        self.occurrences = Occurrences(num_event_kinds)

    def build(self, input_shape: Any) -> None:
        shape = (self.num_items, self.behaviours)
        self.popularity = self.add_weight("popularity", shape=shape, initializer="zeros", trainable=False)
        super().build(input_shape)

    def start_at(self, counts: np.ndarray) -> None:
        """Takes log(1 + counts) of `[num_items, behaviours]`, standardised a behaviour."""
        logs = np.log1p(np.asarray(counts, np.float64))
        self.popularity.assign(((logs - logs.mean(0)) / np.maximum(logs.std(0), 1e-6)).astype(np.float32))

    def call(self, history: tf.Tensor, kinds: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        counted = lookup(self.popularity, candidates)
        return tf.concat([counted, self.occurrences(history, kinds, candidates)], axis=2)


class Spread(keras.layers.Layer):
    """Gives every candidate its user's vector: `[vector [batch, n], candidates [batch, count, …]]` →
    `[batch, count, n]`."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        vector, candidates = inputs
        return tf.repeat(vector[:, None], tf.shape(candidates)[1], axis=1)


def context_inputs(features: ContextFeatures) -> dict[str, Any]:
    """The model inputs of the context, by name."""
    inputs = {}
    if features.numbers:
        inputs[schema.CONTEXT_NUMBERS] = keras.Input((len(features.numbers),), name=schema.CONTEXT_NUMBERS)
    if features.categories:
        shape = (len(features.categories),)
        inputs[schema.CONTEXT_CATEGORIES] = keras.Input(shape, dtype="int32", name=schema.CONTEXT_CATEGORIES)
    return inputs


def read_context(surroundings: dict[str, Any], features: ContextFeatures) -> list[Any]:
    """The context as parts of x0; a category is an embedding, and adds nothing at first."""
    parts = [surroundings[schema.CONTEXT_NUMBERS]] if features.numbers else []
    for column, values in enumerate(features.categories.values()):
        code = surroundings[schema.CONTEXT_CATEGORIES][:, column]
        name = f"category_{column}"
        parts.append(keras.layers.Embedding(len(values) + 1, CATEGORY_DIM, "zeros", name=name)(code))
    return parts


def head_logits(
    crossed: Any, units: Sequence[int], dropout: float, heads: int, multi_task: str, seed: int, policy: str
) -> Any:
    """Hidden layers, for "ple" the last one of `Experts`, to one logit a head."""
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
    """One logit a head, of `[..., width]` shared by the heads or `[..., heads, width]` of their own; kernel from 0."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight("kernel", shape=(self.heads, input_shape[-1]), initializer="zeros")
        self.bias = self.add_weight("bias", shape=(self.heads,), initializer="zeros")
        self.apart = len(input_shape) == 4
        super().build(input_shape)

    def call(self, hidden: tf.Tensor) -> tf.Tensor:
        hidden = tf.cast(hidden, tf.float32)
        return tf.einsum("bchw,hw->bch" if self.apart else "bcw,hw->bch", hidden, self.kernel) + self.bias
