"""The layers that BERT and GPT are made of, with one matrix product for query, key and value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig, describe, described
from tfrec.keras import keras

# Added to the score of what must not be seen: its softmax weight is then exactly 0.
HIDDEN = -1e9


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor, place: int, training: bool | None) -> tf.Tensor:
    """Drops values when training; the mask is a function of `seed` (int32 `[2]`) and `place` alone.

    A saved encoder has no say over the seed of the process it is loaded in: random operations with a state would make
    training from it irreproducible, and different after a resume.
    """
    if not training or not rate:
        return values
    return tf.nn.experimental.stateless_dropout(values, rate, seed=seed + tf.constant([0, place]))


def activate(values: tf.Tensor, activation: str) -> tf.Tensor:
    """One of `backbone.ACTIVATIONS`.

    Example:
        >>> activate(tf.constant([-1.0, 2.0]), "relu").numpy()
        array([0., 2.], dtype=float32)
    """
    if activation == "relu":
        return tf.nn.relu(values)
    if activation == "gelu" and values.dtype == tf.bfloat16:
        return _narrow_gelu(values)
    return tf.nn.gelu(values, approximate=activation == "gelu_new")


@tf.custom_gradient
def _narrow_gelu(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The exact GELU of bfloat16, computed in float32: twice as fast on a CPU, and it keeps only its input."""

    def backward(upstream: tf.Tensor) -> tf.Tensor:
        wide = tf.cast(values, tf.float32)
        slope = 0.5 + 0.5 * tf.math.erf(wide * 0.5**0.5) + wide * tf.exp(-0.5 * wide * wide) * (2 * math.pi) ** -0.5
        return tf.cast(tf.cast(upstream, tf.float32) * slope, values.dtype)

    return tf.cast(tf.nn.gelu(tf.cast(values, tf.float32), approximate=False), values.dtype), backward


def _start() -> Any:
    return keras.initializers.TruncatedNormal(stddev=0.02)


class _Configured(keras.layers.Layer):
    """A layer made from a BackboneConfig, which it writes into its own configuration."""

    def __init__(self, config: BackboneConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def _dense(self, width: int, name: str) -> Any:
        return keras.layers.Dense(width, kernel_initializer=_start(), name=name, dtype=self._dtype_policy)

    def _norm(self, name: str) -> Any:
        return keras.layers.LayerNormalization(epsilon=self.config.epsilon, name=name, dtype=self._dtype_policy)

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "config": describe(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described, with new weights."""
        return cls(**{**config, "config": described(config["config"])})


class Embeddings(_Configured):
    """Word, position and type embeddings, added; normalised where the family normalises after a sum.

    Call arguments:
        word_ids, type_ids: int32 `[batch, length]`.

    Returns:
        hidden: `[batch, length, width]`. seed: int32 `[2]`, for the dropout of this step: made of the batch's words
        and of the current weights, so it differs from step to step and is the same in a repeated run.
    """

    def __init__(self, config: BackboneConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)

        def table(rows: int, name: str) -> Any:
            return keras.layers.Embedding(rows, config.width, _start(), name=name, dtype=self._dtype_policy)

        self.word = table(config.vocab_size, "word")
        self.type = table(config.types, "type") if config.types else None
        # Not cast by Keras: the seed has to see steps that are too small for bfloat16.
        shape = [config.max_positions, config.width]
        self.position = self.add_weight("position", shape, initializer=_start(), experimental_autocast=False)
        self.norm = self._norm("norm") if config.family == "bert" else None

    def call(
        self, word_ids: tf.Tensor, type_ids: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See the class."""
        hidden = self.word(word_ids)
        if self.type is not None:
            hidden += self.type(type_ids)
        hidden += tf.cast(self.position[: tf.shape(word_ids)[1]], hidden.dtype)
        if self.norm is not None:
            hidden = self.norm(hidden)
        weights = tf.bitcast(tf.reduce_sum(tf.cast(self.position[0], tf.float32)), tf.int32)
        seed = tf.stack([tf.reduce_sum(word_ids), weights])
        return dropout(hidden, self.config.dropout, seed, 0, training), seed


class Block(_Configured):
    """One transformer layer: attention and feed-forward, each added to its input.

    BERT normalises after each sum; GPT normalises what goes into each, and lets a token see only what is left of it.

    Call arguments:
        hidden: `[batch, length, width]`.
        mask_ids: int32 `[batch, length]`, 1 where a token is real.
        seed: int32 `[2]`, of the dropout.

    Returns:
        `[batch, length, width]`.
    """

    def __init__(self, config: BackboneConfig, index: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.index, self.first = index, config.family == "gpt"
        self.qkv = self._dense(3 * config.width, "qkv")
        self.attention_out = self._dense(config.width, "attention_out")
        self.attention_norm = self._norm("attention_norm")
        self.inner = self._dense(config.inner_width, "inner")
        self.outer = self._dense(config.width, "outer")
        self.norm = self._norm("norm")

    def call(self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See the class."""
        place, rate = 3 * self.index + 1, self.config.dropout
        read = self.attention_norm(hidden) if self.first else hidden
        attended = self.attention_out(self._attend(read, mask_ids, seed, place, training))
        hidden = hidden + dropout(attended, rate, seed, place + 1, training)
        if not self.first:
            hidden = self.attention_norm(hidden)
        read = self.norm(hidden) if self.first else hidden
        fed = self.outer(activate(self.inner(read), self.config.activation))
        hidden = hidden + dropout(fed, rate, seed, place + 2, training)
        return hidden if self.first else self.norm(hidden)

    def _attend(
        self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, place: int, training: bool | None
    ) -> tf.Tensor:
        width, heads = self.config.width, self.config.heads
        batch, length = tf.shape(hidden)[0], tf.shape(hidden)[1]
        split = tf.reshape(self.qkv(hidden), [batch, length, 3, heads, width // heads])
        query, key, value = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) * (width // heads) ** -0.5
        seen = tf.cast(mask_ids, scores.dtype)[:, None, None, :]
        if self.first:
            seen *= tf.linalg.band_part(tf.ones([length, length], scores.dtype), -1, 0)
        scores += (1.0 - seen) * HIDDEN
        weights = dropout(tf.nn.softmax(scores), self.config.attention_dropout, seed, place, training)
        return tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [batch, length, width])

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "index": self.index}


class Pooling(keras.layers.Layer):
    """Tokens to one vector.

    Args:
        width: Of the vectors.
        pooling: "mean", "last", "cls" or "pooler", as in `BackboneConfig`.
        normalise: Whether the result has length 1 (zeros stay zeros).

    Call arguments:
        hidden: float32 `[batch, length, width]`. mask_ids: int32 `[batch, length]`, padded on the right.

    Returns:
        float32 `[batch, width]`. A row of padding alone gives zeros by "mean" and "last".

    Example:
        >>> hidden = tf.constant([[[3.0, 0.0], [1.0, 2.0], [9.0, 9.0]]])
        >>> Pooling(2, "mean", False)(hidden, mask_ids=tf.constant([[1, 1, 0]])).numpy()
        array([[2., 1.]], dtype=float32)
    """

    def __init__(self, width: int, pooling: str, normalise: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.pooling, self.normalise = width, pooling, normalise
        self.dense = keras.layers.Dense(width, activation="tanh", name="dense") if pooling == "pooler" else None

    def call(self, hidden: tf.Tensor, mask_ids: tf.Tensor) -> tf.Tensor:
        """See the class."""
        if self.pooling == "mean":
            real = tf.cast(mask_ids, hidden.dtype)[..., None]
            pooled = tf.reduce_sum(hidden * real, 1) / tf.maximum(tf.reduce_sum(real, 1), 1.0)
        elif self.pooling == "last":
            at = tf.reduce_sum(mask_ids, 1) - 1
            pooled = tf.reduce_sum(hidden * tf.one_hot(at, tf.shape(hidden)[1], dtype=hidden.dtype)[..., None], 1)
        else:
            pooled = hidden[:, 0] if self.dense is None else self.dense(hidden[:, 0])
        return tf.nn.l2_normalize(pooled, axis=-1) if self.normalise else pooled

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "width": self.width, "pooling": self.pooling, "normalise": self.normalise}
