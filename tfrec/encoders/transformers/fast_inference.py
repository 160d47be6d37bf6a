"""Fast inference graphs of BERT and GPT: the same weights, with two-dimensional products in float32 or bfloat16.

For products with `[batch, length, width]` Keras inserts reshapes, which prevent TensorFlow from fusing product, bias
and activation into one oneDNN call. Here tokens are rows of a matrix from the first product to the pooling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.layers import HIDDEN, activate
from tfrec.encoders.transformers.relative_positions import relative_bias
from tfrec.encoders.transformers.rotary_positions import rotate, within_window
from tfrec.encoders.transformers.static import StaticInference
from tfrec.keras import keras

_HALF_ROOT = 0.5**0.5


def build_inference(model: keras.Model, config: BackboneConfig, dtype: str = "float32") -> Any:
    """Builds a function that computes an encoder's pooled output. It is not trainable.

    Args:
        model: A model made by `build_backbone(config)`; its weights are copied.
        config: Shape of the encoder.
        dtype: Type of the products, "float32" or "bfloat16". Normalisations and pooling are float32.

    Returns:
        A `tf.function` from `word_ids`, `mask` and `types`, each int32 `[batch, length]`, to float32 `[batch, width]`.

    Example:
        >>> from tfrec.encoders import BertConfig, build_bert
        >>> config = BertConfig(vocab_size=9, width=8, layers=1, heads=2, inner_width=16)
        >>> ids = tf.ones([2, 3], tf.int32)
        >>> build_inference(build_bert(config), config)(ids, ids, ids).shape
        TensorShape([2, 8])
    """
    static = config.family == "static"
    call: Any = StaticInference(model, config) if static else Inference(model, config, tf.as_dtype(dtype))
    return tf.function(call, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3)


class Inference:
    """The computation of `build_inference`, with the weights as constants.

    It is split into `embed` and `encode`, as int8 programs contain only the second part.

    Args:
        model: A model made by `build_backbone(config)`; its weights are copied.
        config: Shape of the encoder.
        dtype: Type of the products.
    """

    def __init__(self, model: keras.Model, config: BackboneConfig, dtype: tf.DType) -> None:
        self.config, self.dtype, self.pre_norm = config, dtype, config.pre_norm
        embeddings = model.get_layer("embeddings")
        self.word = tf.constant(embeddings.word.embeddings.numpy())
        self.position = None if embeddings.position is None else tf.constant(embeddings.position.numpy())
        self.type = tf.constant(embeddings.type.embeddings.numpy()) if embeddings.type is not None else None
        self.start_norm = _norm(embeddings.norm) if embeddings.norm is not None else None
        self.end_norm = _norm(model.get_layer("norm")) if self.pre_norm else None
        self.blocks = [self._block(model.get_layer(f"layer_{index}")) for index in range(config.layers)]
        self.pooling = model.get_layer("pooling")
        self.dense = None
        if self.pooling.dense is not None:
            self.dense = [tf.constant(weight.numpy()) for weight in self.pooling.dense.weights]

    def _block(self, block: Any) -> dict[str, Any]:
        width = self.config.attention_width
        scale = np.ones(3 * width, np.float32)
        scale[:width] = (width // self.config.heads) ** -0.5  # fold the scaling of the attention scores into the query
        kernel, bias = block.qkv.kernel.numpy() * scale, block.qkv.bias.numpy() * scale
        dense = {name: getattr(block, name) for name in ("attention_out", "inner", "outer")}
        products = {name: self._constants(layer.kernel.numpy(), layer.bias.numpy()) for name, layer in dense.items()}
        norms = {name: _norm(getattr(block, name)) for name in ("attention_norm", "norm")}
        relative = None if block.relative is None else tf.constant(block.relative.numpy())
        about = {"base": self.config.rotary_base(block.index), "window": self.config.window(block.index)}
        return {"qkv": self._constants(kernel, bias), "relative": relative, **about, **products, **norms}

    def _constants(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(kernel, self.dtype), tf.cast(bias, self.dtype)

    def __call__(self, word_ids: tf.Tensor, mask: tf.Tensor, types: tf.Tensor) -> tf.Tensor:
        """The pooled output, float32 `[batch, width]`, of int32 `[batch, length]` inputs."""
        return self.encode(self.embed(word_ids, types), mask)

    def embed(self, word_ids: tf.Tensor, types: tf.Tensor) -> tf.Tensor:
        """The sum of the embeddings, float32 `[batch, length, width]`, of int32 `[batch, length]` inputs."""
        hidden = tf.gather(self.word, word_ids)
        if self.position is not None:
            hidden += self.position[: tf.shape(word_ids)[1]]
        return hidden if self.type is None else hidden + tf.gather(self.type, types)

    def encode(self, hidden: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The pooled output, float32 `[batch, width]`.

        Args:
            hidden: float32 `[batch, length, width]`, of `embed`.
            mask: int32 `[batch, length]`, 1 for real tokens.
        """
        batch, length, width = tf.shape(hidden)[0], tf.shape(hidden)[1], self.config.width
        rows = tf.reshape(hidden, [-1, width])
        if self.start_norm is not None:
            rows = self._normalise(rows, self.start_norm)
        rows = tf.cast(rows, self.dtype)
        visible = tf.cast(mask, tf.float32)[:, None, None, :]
        if self.config.causal:
            visible *= tf.linalg.band_part(tf.ones([length, length]), -1, 0)
        attention_bias = tf.cast((1.0 - visible) * HIDDEN, self.dtype)
        for block in self.blocks:
            rows = self._layer(rows, block, batch, length, attention_bias)
        if self.end_norm is not None:
            rows = self._normalise(rows, self.end_norm)
        return self._pool(tf.reshape(tf.cast(rows, tf.float32), [batch, length, width]), mask)

    def _layer(self, rows: tf.Tensor, block: dict[str, Any], batch: Any, length: Any, bias: tf.Tensor) -> tf.Tensor:
        inputs = self._normalise(rows, block["attention_norm"]) if self.pre_norm else rows
        if block["relative"] is not None:
            bias += tf.cast(relative_bias(block["relative"], length, self.config.max_positions), self.dtype)
        if block["window"]:
            near = within_window(length, block["window"], tf.float32)
            bias += tf.cast((1.0 - near) * HIDDEN, self.dtype)
        attended = self._attend(_product(inputs, block["qkv"]), batch, length, bias, block["base"])
        rows += _product(attended, block["attention_out"])
        if not self.pre_norm:
            rows = self._normalise(rows, block["attention_norm"])
        inputs = self._normalise(rows, block["norm"]) if self.pre_norm else rows
        rows += _product(self._hidden_units(_product(inputs, block["inner"])), block["outer"])
        return rows if self.pre_norm else self._normalise(rows, block["norm"])

    def _attend(self, qkv: tf.Tensor, batch: Any, length: Any, bias: tf.Tensor, base: float) -> tf.Tensor:
        width, heads = self.config.attention_width, self.config.heads
        split = tf.reshape(qkv, [batch, length, 3, heads, width // heads])
        query, key, value = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]), 3)
        if base:
            query, key = rotate(query, base), rotate(key, base)
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)
        return tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [-1, width])

    def _hidden_units(self, values: tf.Tensor) -> tf.Tensor:
        if not self.config.gated:
            return self._activate(values)
        units, gate = tf.split(values, 2, axis=-1)
        return self._activate(units) * gate

    def _activate(self, values: tf.Tensor) -> tf.Tensor:
        if self.config.activation != "gelu":
            return activate(values, self.config.activation)
        # The exact GELU in the form that TensorFlow's remapper recognises and fuses.
        one, half, root = (tf.constant(number, self.dtype) for number in (1.0, 0.5, _HALF_ROOT))
        return (half * values) * (tf.math.erf(values * root) + one)

    def _normalise(self, rows: tf.Tensor, norm: tuple[tf.Tensor, tf.Tensor] | None) -> tf.Tensor:
        if norm is None:
            return rows
        wide = tf.cast(rows, tf.float32)
        centred = wide - tf.reduce_mean(wide, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        normed = centred * tf.math.rsqrt(variance + self.config.epsilon) * norm[0] + norm[1]
        return tf.cast(normed, self.dtype)

    def _pool(self, hidden: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        kind, real = self.config.pooling, tf.cast(mask, tf.float32)[..., None]
        if kind == "mean":
            pooled = tf.reduce_sum(hidden * real, 1) / tf.maximum(tf.reduce_sum(real, 1), 1.0)
        elif kind == "last":
            last = tf.one_hot(tf.reduce_sum(mask, 1) - 1, tf.shape(hidden)[1])
            pooled = tf.reduce_sum(hidden * last[..., None], 1)
        else:
            pooled = hidden[:, 0]
            if self.dense is not None:
                pooled = tf.tanh(tf.matmul(pooled, self.dense[0]) + self.dense[1])
        return self.pooling.finish(pooled)


def _norm(layer: Any) -> tuple[tf.Tensor, tf.Tensor] | None:
    """Scale and offset; None for the place of a normalisation that a model does without."""
    if not layer.weights:
        return None
    return tf.constant(layer.gamma.numpy()), tf.constant(layer.beta.numpy())


def _product(rows: tf.Tensor, weights: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(rows, weights[0]), weights[1])
