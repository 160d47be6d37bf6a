"""A block of gated attention with rotary positions, for long histories."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.shared.step_dropout import StepDropout

_ROTARY_BASE = 10_000.0


class GatedBlock(keras.layers.Layer):
    """A pre-norm block in which attention is not normalised and gates take the place of the feed-forward layers (HSTU,
    Zhai et al. 2024, https://arxiv.org/abs/2402.17152).

    From the normalised input come, each through SiLU, gate U, values V, queries Q and keys K. A position p attends to
    those up to it with the weights `silu(q · k / √width) / (p + 1)`, whose sum may say how much there is to attend to,
    as a softmax cannot. The result is normalised, gated by U, projected and added to the input. Queries and keys are
    turned by angles that grow with the position, so that their product depends on the distance (rotary positions, Su et
    al. 2021, https://arxiv.org/abs/2104.09864).

    Histories are padded on the right, so the causal mask is also the padding mask.

    Args:
        heads: int. Attention heads; must divide the width.
        dropout: float in [0, 1).
        seed: int. Seed of the initial weights and the dropout masks.

    Call arguments:
        inputs: float `[batch, length, dim]`.

    Returns:
        float `[batch, length, dim]`.
    """

    def __init__(self, heads: int, dropout: float = 0.0, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.dropout, self.seed = heads, dropout, seed

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        if dim % self.heads:
            raise ValueError(f"Expected a width divisible by heads={self.heads}; received {dim}.")
        policy = self.dtype_policy
        start = [keras.initializers.GlorotUniform(seed=self.seed + i) for i in range(2)]
        self.norm_1 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.norm_2 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.gate_qkv = keras.layers.Dense(4 * dim, "silu", kernel_initializer=start[0], dtype=policy)
        self.output_projection = keras.layers.Dense(dim, kernel_initializer=start[1], dtype=policy)
        self.drop = StepDropout(self.dropout, self.seed * 4, dtype=policy)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        gate, query, key, value = self._gate_and_heads(inputs)
        scores = tf.matmul(rotated(query), rotated(key), transpose_b=True) * query.shape[-1] ** -0.5
        length = tf.shape(inputs)[1]
        visible = tf.linalg.band_part(tf.ones([length, length], scores.dtype), -1, 0)
        share = visible / tf.cast(tf.range(length) + 1, scores.dtype)[:, None]
        gated = self._merged(tf.matmul(tf.nn.silu(scores) * share, value)) * gate
        return inputs + self.drop(self.output_projection(gated), training=training)

    def at_newest(self, states: tf.Tensor, positions: tf.Tensor, newest: tf.Tensor, visible: tf.Tensor) -> tf.Tensor:
        """The block's output at the newest event of several variants of a history, whose events are projected once.

        Args:
            states: `[batch, events, dim]`, what the block reads at each event.
            positions: int32 `[events]`, the position of each event in the variants that it is visible in.
            newest: int32 `[batch, variants]`, the event to answer for in each variant.
            visible: bool `[batch, variants, events]`, the events of each variant, the newest among them.

        Returns:
            `[batch, variants, dim]`. Without dropout.
        """
        gate, query, key, value = self._gate_and_heads(states)
        query = tf.gather(rotated(query, positions), newest, axis=2, batch_dims=1)
        scores = tf.matmul(query, rotated(key, positions), transpose_b=True) * query.shape[-1] ** -0.5
        count = tf.cast(tf.gather(positions, newest) + 1, scores.dtype)
        share = tf.cast(visible, scores.dtype) / count[:, :, None]
        gated = self._merged(tf.matmul(tf.nn.silu(scores) * share[:, None], value))
        gated *= tf.gather(gate, newest, batch_dims=1)
        return tf.gather(states, newest, batch_dims=1) + self.output_projection(gated)

    def _gate_and_heads(self, inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The gate, `[batch, length, dim]`; queries, keys and values, `[batch, heads, length, width]` each."""
        batch, length = tf.unstack(tf.shape(inputs)[:2])
        dim = inputs.shape[-1]
        gate, qkv = tf.split(self.gate_qkv(self.norm_1(inputs)), [dim, 3 * dim], axis=-1)
        by_head = tf.reshape(qkv, [batch, length, 3, self.heads, dim // self.heads])
        return gate, *tf.unstack(tf.transpose(by_head, [2, 0, 3, 1, 4]))

    def _merged(self, mixed: tf.Tensor) -> tf.Tensor:
        """The heads beside each other, normalised: `[batch, length, dim]` from `[batch, heads, length, width]`."""
        batch, _, length, _ = tf.unstack(tf.shape(mixed))
        merged = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, length, self.heads * mixed.shape[-1]])
        return self.norm_2(merged)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout, "seed": self.seed}


def rotated(vectors: tf.Tensor, positions: tf.Tensor | None = None) -> tf.Tensor:
    """Vectors, float `[..., length, width]`, turned by the angles of their positions.

    Entries i and i + width / 2 are a pair that is turned by `position / 10000^(2i / width)`. Of an odd width, the last
    entry stays as it is.

    Args:
        vectors: The vectors.
        positions: int32 `[length]`; None for 0, 1, and so on.

    Example:
        >>> turned = rotated(tf.constant([[1.0, 0.0], [1.0, 0.0]]))  # by 0 and by 1
        >>> [round(float(value), 3) for value in turned[1]]
        [0.54, 0.841]
    """
    half = vectors.shape[-1] // 2
    speed = tf.pow(_ROTARY_BASE, -tf.range(half, dtype=tf.float32) / half)
    positions = tf.range(tf.shape(vectors)[-2]) if positions is None else positions
    angle = tf.cast(positions, tf.float32)[:, None] * speed
    cosine, sine = (tf.cast(of(angle), vectors.dtype) for of in (tf.cos, tf.sin))
    first, second, rest = vectors[..., :half], vectors[..., half : 2 * half], vectors[..., 2 * half :]
    return tf.concat([first * cosine - second * sine, first * sine + second * cosine, rest], axis=-1)
