"""The layers of ClickRanker: history features of a candidate, experts, and the funnel that links the heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrec.keras import keras

MASKED = -1e9
"""Attention logit of padding."""


class HistoryPooling(keras.layers.Layer):
    """Pools the item vectors of a history into one vector for the user and one for each candidate.

    An event's attention logit is the sum of learned weights for its recency and its kind; for a candidate, the scaled
    cosine of event and candidate is added (after Deep Interest Network, Zhou et al. 2018,
    https://arxiv.org/abs/1706.06978).

    Args:
        max_history: int. Number of recency weights; older events share the last one.
        num_event_kinds: int.

    Call arguments:
        history: float32 `[batch, length, dim]`.
        kinds: int32 `[batch, length]`, −1 is unknown.
        mask: bool `[batch, length]`, true at events, which come before the padding.
        candidates: float32 `[batch, candidates, dim]`.

    Returns:
        user: float32 `[batch, dim]`.
        attended: float32 `[batch, candidates, dim]`.
        similarity: float32 `[batch, candidates, 2]`, the highest and the attention-weighted cosine.

        All are 0 for an empty history.
    """

    def __init__(self, max_history: int, num_event_kinds: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_history, self.num_event_kinds = max_history, num_event_kinds

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        falling = keras.initializers.Constant([-0.1 * min(age, 30) for age in range(self.max_history)])
        self.recency = self.add_weight("recency", shape=(self.max_history,), initializer=falling)
        self.kind_weight = self.add_weight("kind_weight", shape=(self.num_event_kinds + 1,), initializer="zeros")
        self.kind_vector = self.add_weight("kind_vector", shape=(self.num_event_kinds + 1, dim), initializer="zeros")
        self.sharpness = self.add_weight("sharpness", shape=(), initializer=keras.initializers.Constant(4.0))
        super().build(input_shape)

    def call(
        self, history: tf.Tensor, kinds: tf.Tensor, mask: tf.Tensor, candidates: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        real = tf.cast(mask, tf.float32)
        age = tf.reduce_sum(real, axis=1, keepdims=True) - 1 - tf.range(tf.shape(mask)[1], dtype=tf.float32)
        age = tf.clip_by_value(tf.cast(age, tf.int32), 0, self.max_history - 1)
        kind = tf.where((kinds < 0) | (kinds >= self.num_event_kinds), self.num_event_kinds, kinds)
        weight = tf.gather(self.recency, age) + tf.gather(self.kind_weight, kind)
        weight = tf.where(mask, weight, MASKED)
        values = history + tf.gather(self.kind_vector, kind)
        user = tf.einsum("bl,bld->bd", tf.nn.softmax(weight) * real, values)
        cosine = tf.einsum(
            "bcd,bld->bcl", tf.math.l2_normalize(candidates, axis=-1), tf.math.l2_normalize(history, axis=-1)
        )
        attention = tf.nn.softmax(weight[:, None] + self.sharpness * cosine) * real[:, None]
        attended = tf.einsum("bcl,bld->bcd", attention, values)
        highest = tf.reduce_max(tf.where(mask[:, None], cosine, -1.0), axis=2)
        highest = tf.where(tf.reduce_any(mask, axis=1, keepdims=True), highest, 0.0)
        return user, attended, tf.stack([highest, tf.reduce_sum(attention * cosine, axis=2)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_history": self.max_history, "num_event_kinds": self.num_event_kinds}


class Occurrences(keras.layers.Layer):
    """How often and how recently each candidate occurs in the history.

    Args:
        num_event_kinds: int.

    Call arguments:
        history: int32 `[batch, length]`, padded on the right with −1.
        kinds: int32 `[batch, length]`, −1 is unknown.
        candidates: int32 `[batch, candidates]`, −1 is padding.

    Returns:
        float32 `[batch, candidates, num_event_kinds + 2]`: log(1 + occurrences) for each kind and for unknown
        kinds, and 1 / (1 + events since the last occurrence), 0 if there is none.

    Example:
        >>> history, kinds = tf.constant([[7, 8, 7, 9]]), tf.zeros([1, 4], tf.int32)
        >>> Occurrences(1)(history, kinds, tf.constant([[7, 5]])).numpy().round(2)
        array([[[1.1, 0. , 0.5],
                [0. , 0. , 0. ]]], dtype=float32)
    """

    def __init__(self, num_event_kinds: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_event_kinds = num_event_kinds

    def call(self, history: tf.Tensor, kinds: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        same = tf.cast((history[:, None] == candidates[:, :, None]) & (history[:, None] >= 0), tf.float32)
        kind = tf.where((kinds < 0) | (kinds >= self.num_event_kinds), self.num_event_kinds, kinds)
        times = tf.einsum("bcl,blk->bck", same, tf.one_hot(kind, self.num_event_kinds + 1))
        length = tf.reduce_sum(tf.cast(history >= 0, tf.float32), axis=1, keepdims=True)
        recency = 1 / tf.maximum(length - tf.range(tf.shape(history)[1], dtype=tf.float32), 1.0)
        last = tf.reduce_max(same * recency[:, None], axis=2, keepdims=True)
        return tf.concat([tf.math.log1p(times), tf.maximum(last, 0.0)], axis=2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_event_kinds": self.num_event_kinds}


class Experts(keras.layers.Layer):
    """One layer of progressive layered extraction: a gate per head mixes the head's own experts with shared ones.

    Reference: Tang et al. 2020, https://doi.org/10.1145/3383313.3412236 (customised gate control).

    Args:
        heads: int. Number of heads.
        units: int. Width of an expert.
        seed: int. Seed of the initial weights.
        own: int. Experts per head.
        shared: int. Experts shared by all heads.

    Call arguments:
        inputs: float32 `[..., width]`.

    Returns:
        float32 `[..., heads, units]`.
    """

    def __init__(self, heads: int, units: int, seed: int = 0, own: int = 1, shared: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.units, self.seed, self.own, self.shared = heads, units, seed, own, shared

    def build(self, input_shape: Any) -> None:
        width, count = input_shape[-1], self.heads * self.own + self.shared
        start = keras.initializers.RandomNormal(stddev=width**-0.5, seed=self.seed)
        self.kernel = self.add_weight("kernel", shape=(count, width, self.units), initializer=start)
        self.bias = self.add_weight("bias", shape=(count, self.units), initializer="zeros")
        self.gate = self.add_weight("gate", shape=(self.heads, width, self.own + self.shared), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        experts = tf.nn.gelu(tf.einsum("...w,ewu->...eu", inputs, self.kernel) + self.bias)
        gates = tf.nn.softmax(tf.einsum("...w,hwe->...he", inputs, self.gate))
        common = experts[..., self.heads * self.own :, :]
        mixed = []
        for head in range(self.heads):
            theirs = experts[..., head * self.own : (head + 1) * self.own, :]
            mixed.append(tf.einsum("...e,...eu->...u", gates[..., head, :], tf.concat([theirs, common], axis=-2)))
        return tf.stack(mixed, axis=-2)

    def get_config(self) -> dict[str, Any]:
        config = {"heads": self.heads, "units": self.units, "seed": self.seed, "own": self.own, "shared": self.shared}
        return {**super().get_config(), **config}


class Funnel(keras.layers.Layer):
    """Turns logits into log-probabilities; along the funnel, probabilities are products of conditionals.

    For example, P(purchase) = P(view) · P(favourite | view) · P(purchase | favourite) (after ESMM, Ma et al. 2018,
    https://arxiv.org/abs/1804.07931). That way all heads learn from all examples, and a deeper behaviour is never more
    probable than a shallower one. Behaviours outside the funnel are independent of it.

    Args:
        chain: Indices of the heads in the funnel, shallowest first; may be empty.

    Call arguments:
        logits: float32 `[..., heads]`, of the conditional probabilities.

    Returns:
        float32 `[..., heads]`, log-probabilities.

    Example:
        >>> tf.exp(Funnel([0, 1])(tf.zeros([1, 3]))).numpy().round(2)
        array([[0.5 , 0.25, 0.5 ]], dtype=float32)
    """

    def __init__(self, chain: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chain = list(chain)

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        heads = tf.unstack(tf.math.log_sigmoid(tf.cast(logits, tf.float32)), axis=-1)
        for before, head in zip(self.chain, self.chain[1:]):
            heads[head] += heads[before]
        return tf.stack(heads, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "chain": self.chain}


class Calibration(keras.layers.Layer):
    """Platt scaling of each head, sigmoid(slope · logit + shift).

    Along the funnel, each result is capped at that of the next shallower behaviour.

    Args:
        chain: Indices of the heads in the funnel, shallowest first; may be empty.

    Call arguments:
        log_probabilities: float32 `[..., heads]`.

    Returns:
        float32 `[..., heads]`, probabilities.
    """

    def __init__(self, chain: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chain = list(chain)

    def build(self, input_shape: Any) -> None:
        self.slope = self.add_weight("slope", shape=(input_shape[-1],), initializer="ones", trainable=False)
        self.shift = self.add_weight("shift", shape=(input_shape[-1],), initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, log_probabilities: tf.Tensor) -> tf.Tensor:
        heads = tf.unstack(tf.sigmoid(self.slope * logit(log_probabilities) + self.shift), axis=-1)
        for before, head in zip(self.chain, self.chain[1:]):
            heads[head] = tf.minimum(heads[head], heads[before])
        return tf.stack(heads, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "chain": self.chain}


def log_complement(log_probability: tf.Tensor) -> tf.Tensor:
    """log(1 − p) from log p, accurate for p near 0 and near 1; log p is capped at −1e-7."""
    bounded = tf.minimum(log_probability, -1e-7)
    # Each branch is accurate where it is used; elsewhere its input is clamped so that gradients stay finite.
    near = bounded > -0.7
    return tf.where(
        near,
        tf.math.log(-tf.math.expm1(tf.where(near, bounded, -0.7))),
        tf.math.log1p(-tf.exp(tf.where(near, -0.7, bounded))),
    )


def logit(log_probability: tf.Tensor) -> tf.Tensor:
    """log(p / (1 − p)) from log p."""
    return log_probability - log_complement(log_probability)
