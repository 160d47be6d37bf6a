"""The static encoder: a table of token vectors, and its fast inference."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.layers import BackboneLayer
from tfrec.keras import keras


class TokenVectors(BackboneLayer):
    """Looks up the vectors of tokens. It takes the place of `Embeddings`, and has its calls and outputs.

    Call arguments:
        word_ids: int32 `[batch, length]`.
        type_ids: int32 `[batch, length]`; not used.

    Returns:
        hidden: `[batch, length, width]`. seed: int32 `[2]`, zeros: a static encoder has no dropout.

    Example:
        >>> from tfrec.encoders.transformers.config import StaticConfig
        >>> hidden, _ = TokenVectors(StaticConfig(vocab_size=9, width=4))(tf.ones([1, 3], tf.int32), None)
        >>> hidden.shape
        TensorShape([1, 3, 4])
    """

    def __init__(self, config: BackboneConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.word = self._table(config.vocab_size, "word")

    def call(
        self, word_ids: tf.Tensor, type_ids: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See the class."""
        return self.word(word_ids), tf.zeros([2], tf.int32)


class StaticInference:
    """The pooled output of a static encoder, without making the token vectors of the whole batch.

    Args:
        model: A model made by `build_backbone` of a StaticConfig; its weights are copied.
        config: Its config.

    Call arguments:
        word_ids, mask, types: int32 `[batch, length]`.

    Returns:
        float32 `[batch, width]`.
    """

    def __init__(self, model: keras.Model, config: BackboneConfig) -> None:
        self.word, self.normalise = tf.constant(model.get_layer("embeddings").word.embeddings.numpy()), config.normalise
        self.finish = model.get_layer("pooling").finish if config.dense or config.cut else None

    def __call__(self, word_ids: tf.Tensor, mask: tf.Tensor, types: tf.Tensor) -> tf.Tensor:
        """See the class."""
        real = mask > 0
        rows = tf.cast(tf.where(real)[:, 0], tf.int32)
        sums = tf.sparse.segment_sum(self.word, tf.boolean_mask(word_ids, real), rows, num_segments=tf.shape(mask)[0])
        if self.finish is not None:
            return self.finish(sums / tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32), 1, keepdims=True), 1.0))
        if self.normalise:
            return tf.nn.l2_normalize(sums, axis=-1)
        return sums / tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32), 1, keepdims=True), 1.0)
