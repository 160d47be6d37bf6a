"""LanguageModel: the pre-training head over BERT (masked words) or GPT (next token)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.encoders.transformers.layers import activate
from tfrec.keras import keras
from tfrec.schema import SEQUENCE_OUTPUT


class LanguageModel(keras.Model):
    """Logits over the vocabulary at chosen positions, tied to the encoder's word embedding.

    For BERT a dense layer, the activation and a normalisation come before the product with the embedding, as in the
    paper; for GPT the vectors are multiplied directly. Both add a bias per token.

    Args:
        encoder: A model made by `build_bert` or `build_gpt`.
        config: Config of the encoder.

    Call arguments:
        inputs: The encoder's dict of inputs, int32 `[batch, length]` each.
        places: int32 `[n, 2]`, row and position of each prediction.

    Returns:
        float32 `[n, vocab_size]`.
    """

    def __init__(self, encoder: keras.Model, config: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # === Layers ===
        self.encoder, self.config = encoder, config
        self.words = encoder.get_layer("embeddings").word
        self.dense: Any = None
        self.norm: Any = None
        if not config.causal:
            start = keras.initializers.TruncatedNormal(stddev=0.02)
            self.dense = keras.layers.Dense(config.width, kernel_initializer=start, name="transform")
            self.norm = keras.layers.LayerNormalization(epsilon=config.epsilon, name="transform_norm")
        self.bias = self.add_weight("bias", [config.vocab_size], initializer="zeros")

    def call(self, inputs: dict[str, tf.Tensor], places: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See the class."""
        hidden = tf.gather_nd(self.encoder(inputs, training=training)[SEQUENCE_OUTPUT], places)
        if self.dense is not None:
            hidden = self.norm(activate(self.dense(hidden), self.config.activation))
        return tf.matmul(hidden, self.words.embeddings, transpose_b=True) + self.bias
