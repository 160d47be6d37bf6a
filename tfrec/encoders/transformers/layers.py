"""The layers of BERT, GPT and their kin, with a single matrix product for query, key and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig, config_from_dict, config_to_dict
from tfrec.encoders.transformers.relative_positions import relative_bias
from tfrec.encoders.transformers.rotary_positions import rotate, within_window
from tfrec.encoders.transformers.small_weights import SmallDense, SmallEmbedding
from tfrec.keras import keras

HIDDEN = -1e9
"""Added to the attention scores of hidden tokens; their softmax weights are then exactly 0."""


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor, place: int, training: bool | None) -> tf.Tensor:
    """Stateless dropout: the mask depends only on `seed` and `place`.

    Stateful random ops depend on the seed of the process that loads a saved encoder. With them training would not be
    reproducible, and would continue differently after a resume.

    Args:
        values: float, any shape.
        rate: float. Share of the values to drop.
        seed: int32 `[2]`, the seed of this step.
        place: int. Number of the dropout within the model, so that each has its own mask.
        training: Whether to apply dropout.
    """
    if not training or not rate:
        return values
    return tf.nn.experimental.stateless_dropout(values, rate, seed=seed + tf.constant([0, place]))


_SIMPLE = {"relu": tf.nn.relu, "silu": tf.nn.silu}


def activate(values: tf.Tensor, activation: str) -> tf.Tensor:
    """Applies one of `config.ACTIVATIONS`.

    Example:
        >>> activate(tf.constant([-1.0, 2.0]), "relu").numpy()
        array([0., 2.], dtype=float32)
    """
    if activation in _SIMPLE:
        return _SIMPLE[activation](values)
    if activation == "gelu" and values.dtype == tf.bfloat16:
        return _bfloat16_gelu(values)
    return tf.nn.gelu(values, approximate=activation == "gelu_new")


def hidden_units(values: tf.Tensor, config: BackboneConfig) -> tf.Tensor:
    """The hidden units of a feed-forward network from the product with its first matrix; if gated, half as many."""
    if not config.gated:
        return activate(values, config.activation)
    units, gate = tf.split(values, 2, axis=-1)
    return activate(units, config.activation) * gate


@tf.custom_gradient
def _bfloat16_gelu(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The exact GELU of bfloat16 values, computed in float32: twice as fast on a CPU, and keeps only its input."""

    def backward(upstream: tf.Tensor) -> tf.Tensor:
        wide = tf.cast(values, tf.float32)
        slope = 0.5 + 0.5 * tf.math.erf(wide * 0.5**0.5) + wide * tf.exp(-0.5 * wide * wide) * (2 * math.pi) ** -0.5
        return tf.cast(tf.cast(upstream, tf.float32) * slope, values.dtype)

    return tf.cast(tf.nn.gelu(tf.cast(values, tf.float32), approximate=False), values.dtype), backward


def _initializer() -> Any:
    return keras.initializers.TruncatedNormal(stddev=0.02)  # as in BERT and GPT-2


class BackboneLayer(keras.layers.Layer):
    """Base class of layers that are built from a BackboneConfig and serialise it in `get_config`."""

    def __init__(self, config: BackboneConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def _dense(self, width: int, name: str) -> Any:
        if self.config.weights != "float32":
            return SmallDense(width, self.config.weights, name=name)
        return keras.layers.Dense(width, kernel_initializer=_initializer(), name=name, dtype=self._dtype_policy)

    def _norm(self, name: str) -> Any:
        return keras.layers.LayerNormalization(epsilon=self.config.epsilon, name=name, dtype=self._dtype_policy)

    def _table(self, rows: int, name: str) -> Any:
        if self.config.weights != "float32":
            return SmallEmbedding(rows, self.config.width, self.config.weights, name=name)
        return keras.layers.Embedding(rows, self.config.width, _initializer(), name=name, dtype=self._dtype_policy)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for `from_config`."""
        return {**super().get_config(), "config": config_to_dict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer from the output of `get_config`."""
        return cls(**{**config, "config": config_from_dict(config["config"])})


class Embeddings(BackboneLayer):
    """The sum of word, position and type embeddings, normalised except for GPT.

    Call arguments:
        word_ids: int32 `[batch, length]`.
        type_ids: int32 `[batch, length]`.

    Returns:
        hidden: `[batch, length, width]`. seed: int32 `[2]`, for the dropout of this step. It is computed from the words
        of the batch and the current weights, so it differs from step to step and is reproducible.
    """

    def __init__(self, config: BackboneConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.word = self._table(config.vocab_size, "word")
        self.type = self._table(config.types, "type") if config.types else None
        self.position: Any = None
        if config.learned_positions:
            # Without autocast: the seed must change even if an update is too small for bfloat16.
            shape = [config.max_positions, config.width]
            self.position = self.add_weight("position", shape, initializer=_initializer(), experimental_autocast=False)
        self.norm: Any = self._norm("norm") if config.embedding_norm else None

    def call(
        self, word_ids: tf.Tensor, type_ids: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See the class."""
        hidden = self.word(word_ids)
        if self.type is not None:
            hidden += self.type(type_ids)
        if self.position is not None:
            hidden += tf.cast(self.position[: tf.shape(word_ids)[1]], hidden.dtype)
        if self.norm is not None:
            hidden = self.norm(hidden)
        some = self.position[0] if self.position is not None else self.norm.gamma
        weights = tf.bitcast(tf.reduce_sum(tf.cast(some, tf.float32)), tf.int32)
        seed = tf.stack([tf.reduce_sum(word_ids), weights])
        return dropout(hidden, self.config.dropout, seed, 0, training), seed


class Block(BackboneLayer):
    """A transformer layer: attention and feed-forward network, each with a residual connection.

    BERT normalises after each sum (post-norm); GPT and ModernBERT normalise the inputs of both (pre-norm). The
    attention of GPT is causal. What a checkpoint lacks (biases of nomic and ModernBERT, offsets of ModernBERT's
    normalisations) is 0 here.

    Args:
        config: Config of the encoder.
        index: int. Number of the layer, which decides its dropout masks.

    Call arguments:
        hidden: `[batch, length, width]`.
        mask_ids: int32 `[batch, length]`, 1 for real tokens.
        seed: int32 `[2]`, seed of the dropout.

    Returns:
        `[batch, length, width]`.
    """

    def __init__(self, config: BackboneConfig, index: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.index, self.pre_norm = index, config.pre_norm
        self.relative: Any = None
        if config.relative_buckets:
            shape = [config.relative_buckets, config.heads]
            self.relative = self.add_weight("relative", shape, initializer=_initializer())
        self.qkv = self._dense(3 * config.attention_width, "qkv")
        self.attention_out = self._dense(config.width, "attention_out")
        self.attention_norm = self._norm("attention_norm")
        if config.pre_norm and config.embedding_norm and index == 0:  # its input is normalised already
            self.attention_norm = keras.layers.Activation("linear", name="attention_norm", dtype=self._dtype_policy)
        self.inner = self._dense(config.inner_width * (2 if config.gated else 1), "inner")
        self.outer = self._dense(config.width, "outer")
        self.norm = self._norm("norm")

    def call(self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See the class."""
        place, rate = 3 * self.index + 1, self.config.dropout
        inputs = self.attention_norm(hidden) if self.pre_norm else hidden
        attended = self.attention_out(self.attend(inputs, mask_ids, seed, place, training))
        hidden = hidden + dropout(attended, rate, seed, place + 1, training)
        if not self.pre_norm:
            hidden = self.attention_norm(hidden)
        inputs = self.norm(hidden) if self.pre_norm else hidden
        fed_forward = self.outer(hidden_units(self.inner(inputs), self.config))
        hidden = hidden + dropout(fed_forward, rate, seed, place + 2, training)
        return hidden if self.pre_norm else self.norm(hidden)

    def attend(
        self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, place: int, training: bool | None
    ) -> tf.Tensor:
        """The outputs of all heads, side by side, `[batch, length, attention_width]`; arguments as in `dropout`."""
        width, heads = self.config.attention_width, self.config.heads
        batch, length = tf.shape(hidden)[0], tf.shape(hidden)[1]
        split = tf.reshape(self.qkv(hidden), [batch, length, 3, heads, width // heads])
        query, key, value = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        if base := self.config.rotary_base(self.index):
            query, key = rotate(query, base), rotate(key, base)
        scores = tf.matmul(query, key, transpose_b=True) * (width // heads) ** -0.5
        if self.relative is not None:
            scores += tf.cast(relative_bias(self.relative, length, self.config.max_positions), scores.dtype)
        visible = tf.cast(mask_ids, scores.dtype)[:, None, None, :]
        if self.config.causal:
            visible *= tf.linalg.band_part(tf.ones([length, length], scores.dtype), -1, 0)
        if window := self.config.window(self.index):
            visible *= within_window(length, window, scores.dtype)
        scores += (1.0 - visible) * HIDDEN
        weights = dropout(tf.nn.softmax(scores), self.config.attention_dropout, seed, place, training)
        return tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [batch, length, width])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for `from_config`."""
        return {**super().get_config(), "index": self.index}


class Pooling(keras.layers.Layer):
    """Pools the token vectors of a text into one vector.

    Args:
        width: int. Width of the vectors.
        pooling: "mean", "last", "cls" or "pooler", as in `BackboneConfig`.
        normalise: Whether to scale the result to unit length; zeros stay zeros.
        dense: Width, activation and use of a bias of dense layers that follow, as in `BackboneConfig`.
        cut: int. Number of leading values to keep, before scaling; 0 keeps all.

    Call arguments:
        hidden: float32 `[batch, length, width]`.
        mask_ids: int32 `[batch, length]`, 1 for real tokens, padded on the right.

    Returns:
        float32 `[batch, dim]`. With "mean" or "last", a row with only padding pools to zeros.

    Example:
        >>> hidden = tf.constant([[[3.0, 0.0], [1.0, 2.0], [9.0, 9.0]]])
        >>> Pooling(2, "mean", False)(hidden, mask_ids=tf.constant([[1, 1, 0]])).numpy()
        array([[2., 1.]], dtype=float32)
    """

    def __init__(
        self,
        width: int,
        pooling: str,
        normalise: bool,
        dense: Sequence[tuple[int, str, bool]] = (),
        cut: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.pooling, self.normalise, self.cut = width, pooling, normalise, cut
        self.dense_options = [list(options) for options in dense]
        self.after = [
            keras.layers.Dense(size, activation=name, use_bias=bias, name=f"dense_{place}")
            for place, (size, name, bias) in enumerate(dense)
        ]
        self.dense = keras.layers.Dense(width, activation="tanh", name="dense") if pooling == "pooler" else None

    def call(self, hidden: tf.Tensor, mask_ids: tf.Tensor) -> tf.Tensor:
        """See the class."""
        if self.pooling == "mean":
            real = tf.cast(mask_ids, hidden.dtype)[..., None]
            pooled = tf.reduce_sum(hidden * real, 1) / tf.maximum(tf.reduce_sum(real, 1), 1.0)
        elif self.pooling == "last":
            last = tf.reduce_sum(mask_ids, 1) - 1
            pooled = tf.reduce_sum(hidden * tf.one_hot(last, tf.shape(hidden)[1], dtype=hidden.dtype)[..., None], 1)
        else:
            pooled = hidden[:, 0] if self.dense is None else self.dense(hidden[:, 0])
        return self.finish(pooled)

    def finish(self, pooled: tf.Tensor) -> tf.Tensor:
        """What follows the pooling: dense layers, cutting and scaling, float32 `[batch, width]` → `[batch, dim]`."""
        for layer in self.after:
            pooled = layer(pooled)
        pooled = pooled[:, : self.cut] if self.cut else pooled
        return tf.nn.l2_normalize(pooled, axis=-1) if self.normalise else pooled

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for `from_config`."""
        own = {"width": self.width, "pooling": self.pooling, "normalise": self.normalise}
        return {**super().get_config(), **own, "dense": self.dense_options, "cut": self.cut}
