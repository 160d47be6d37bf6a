"""BERT as a functional Keras model, with one matrix product for query, key and value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import tensorflow as tf

from tfrec.keras import keras
from tfrec.schema import (
    DEFAULT_OUTPUT,
    ENCODER_OUTPUTS,
    INPUT_MASK,
    INPUT_TYPE_IDS,
    INPUT_WORD_IDS,
    POOLED_OUTPUT,
    SEQUENCE_OUTPUT,
)

# As checkpoints name them: "gelu" is the exact one, "gelu_new" its tanh approximation.
ACTIVATIONS = ("gelu", "gelu_new", "relu")


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT encoder, and how its tokens become one vector.

    Args:
        vocab_size: Rows of the word embedding.
        width: Of every token's vector; a multiple of `heads`.
        layers: Transformer layers.
        heads: Attention heads.
        inner_width: Of the feed-forward's hidden layer.
        max_positions: The longest input, in tokens.
        types: Segment types.
        activation: "gelu" (exact), "gelu_new" (tanh approximation) or "relu".
        dropout: On embeddings and on each layer's two outputs, when training.
        attention_dropout: On attention weights, when training.
        epsilon: Of every layer normalisation.
        pooling: "mean" of the real tokens, "cls": the first token, "pooler": the first token, dense and tanh.
        normalise: Whether the pooled vector is brought to length 1.

    Example:
        >>> BertConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).pooling
        'mean'
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    inner_width: int
    max_positions: int = 512
    types: int = 2
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    epsilon: float = 1e-12
    pooling: Literal["mean", "cls", "pooler"] = "mean"
    normalise: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def build_bert(config: BertConfig) -> keras.Model:
    """The functional model.

    Inputs, a dict: `input_word_ids`, `input_mask` (1 real, 0 padding) and `input_type_ids`, each int32
    `[batch, length]` with `length` at most `config.max_positions`.

    Outputs, a dict: `pooled_output` float32 `[batch, width]`, `sequence_output` float32 `[batch, length, width]`,
    `encoder_outputs` (a list of every layer's `[batch, length, width]`) and `default` (the pooled output).
    Padding changes no real token's vector. A row of padding alone pools to zeros by "mean".

    Example:
        >>> model = build_bert(BertConfig(vocab_size=9, width=8, layers=1, heads=2, inner_width=16))
        >>> ones = tf.ones([1, 3], tf.int32)
        >>> model({"input_word_ids": ones, "input_mask": ones, "input_type_ids": ones})["pooled_output"].shape
        TensorShape([1, 8])
    """
    # === Layers ===
    embeddings = BertEmbeddings(config, name="embeddings")
    blocks = [BertBlock(config, index, name=f"layer_{index}") for index in range(config.layers)]
    pooling = Pooling(config.width, config.pooling, config.normalise, name="pooling")

    # === Functional model ===
    inputs = {
        name: keras.Input((None,), dtype=tf.int32, name=name) for name in (INPUT_WORD_IDS, INPUT_MASK, INPUT_TYPE_IDS)
    }
    hidden, seed = embeddings(inputs[INPUT_WORD_IDS], inputs[INPUT_TYPE_IDS])
    outputs = []
    for block in blocks:
        hidden = block(hidden, mask_ids=inputs[INPUT_MASK], seed=seed)
        outputs.append(hidden)
    pooled = pooling(hidden, mask_ids=inputs[INPUT_MASK])
    return keras.Model(
        inputs,
        {POOLED_OUTPUT: pooled, SEQUENCE_OUTPUT: hidden, ENCODER_OUTPUTS: outputs, DEFAULT_OUTPUT: pooled},
        name="bert_encoder",
    )


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor, place: int, training: bool | None) -> tf.Tensor:
    """Drops values when training; the mask is a function of `seed` (int32 `[2]`) and `place` alone.

    A saved encoder has no say over the seed of the process it is loaded in: random operations with a state would make
    training from it irreproducible, and different after a resume.
    """
    if not training or not rate:
        return values
    return tf.nn.experimental.stateless_dropout(values, rate, seed=seed + tf.constant([0, place]))


def _start() -> Any:
    return keras.initializers.TruncatedNormal(stddev=0.02)


class BertEmbeddings(keras.layers.Layer):
    """Word, position and type embeddings, added and normalised.

    Call arguments:
        word_ids, type_ids: int32 `[batch, length]`.

    Returns:
        hidden: float32 `[batch, length, width]`. seed: int32 `[2]`, for the dropout of this step: made of the batch's
        words and of the current weights, so it differs from step to step and is the same in a repeated run.
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.word = keras.layers.Embedding(config.vocab_size, config.width, _start(), name="word")
        self.type = keras.layers.Embedding(config.types, config.width, _start(), name="type")
        self.position = self.add_weight("position", [config.max_positions, config.width], initializer=_start())
        self.norm = keras.layers.LayerNormalization(epsilon=config.epsilon, name="norm")

    def call(
        self, word_ids: tf.Tensor, type_ids: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See the class."""
        hidden = self.word(word_ids) + self.type(type_ids)
        hidden += tf.cast(self.position, hidden.dtype)[: tf.shape(word_ids)[1]]
        hidden = self.norm(hidden)
        weights = tf.bitcast(tf.reduce_sum(tf.cast(self.norm.beta, tf.float32)), tf.int32)
        seed = tf.stack([tf.reduce_sum(word_ids), weights])
        return dropout(hidden, self.config.dropout, seed, 0, training), seed

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BertEmbeddings:
        """The layer that `get_config` described, with new weights."""
        return cls(**{**config, "config": BertConfig(**config["config"])})


class BertBlock(keras.layers.Layer):
    """One transformer layer: attention and feed-forward, each added to its input and normalised after.

    Call arguments:
        hidden: float32 `[batch, length, width]`.
        mask_ids: int32 `[batch, length]`, 1 where a token is real.
        seed: int32 `[2]`, of the dropout.

    Returns:
        float32 `[batch, length, width]`.
    """

    def __init__(self, config: BertConfig, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config, self.index = config, index

        def dense(width: int, name: str) -> Any:
            return keras.layers.Dense(width, kernel_initializer=_start(), name=name)

        self.qkv = dense(3 * config.width, "qkv")
        self.attention_out = dense(config.width, "attention_out")
        self.attention_norm = keras.layers.LayerNormalization(epsilon=config.epsilon, name="attention_norm")
        self.inner = dense(config.inner_width, "inner")
        self.outer = dense(config.width, "outer")
        self.norm = keras.layers.LayerNormalization(epsilon=config.epsilon, name="norm")

    def call(self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See the class."""
        place, rate = 3 * self.index + 1, self.config.dropout
        attended = self.attention_out(self._attend(hidden, mask_ids, seed, place, training))
        hidden = self.attention_norm(hidden + dropout(attended, rate, seed, place + 1, training))
        fed = self.outer(self._activate(self.inner(hidden)))
        return self.norm(hidden + dropout(fed, rate, seed, place + 2, training))

    def _attend(
        self, hidden: tf.Tensor, mask_ids: tf.Tensor, seed: tf.Tensor, place: int, training: bool | None
    ) -> tf.Tensor:
        width, heads = self.config.width, self.config.heads
        batch, length = tf.shape(hidden)[0], tf.shape(hidden)[1]
        split = tf.reshape(self.qkv(hidden), [batch, length, 3, heads, width // heads])
        query, key, value = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) * (width // heads) ** -0.5
        scores += (1.0 - tf.cast(mask_ids, scores.dtype))[:, None, None, :] * -1e9
        weights = dropout(tf.nn.softmax(scores), self.config.attention_dropout, seed, place, training)
        return tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [batch, length, width])

    def _activate(self, values: tf.Tensor) -> tf.Tensor:
        if self.config.activation == "relu":
            return tf.nn.relu(values)
        return tf.nn.gelu(values, approximate=self.config.activation == "gelu_new")

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "config": self.config.to_dict(), "index": self.index}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BertBlock:
        """The layer that `get_config` described, with new weights."""
        return cls(**{**config, "config": BertConfig(**config["config"])})


class Pooling(keras.layers.Layer):
    """Tokens to one vector.

    Args:
        width: Of the vectors.
        pooling: "mean", "cls" or "pooler", as in `BertConfig`.
        normalise: Whether the result has length 1 (zeros stay zeros).

    Call arguments:
        hidden: float32 `[batch, length, width]`. mask_ids: int32 `[batch, length]`.

    Returns:
        float32 `[batch, width]`.

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
        else:
            pooled = hidden[:, 0] if self.dense is None else self.dense(hidden[:, 0])
        return tf.nn.l2_normalize(pooled, axis=-1) if self.normalise else pooled

    def get_config(self) -> dict[str, Any]:
        """For `from_config`."""
        return {**super().get_config(), "width": self.width, "pooling": self.pooling, "normalise": self.normalise}
