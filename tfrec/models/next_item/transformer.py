"""The layers that encode a history: event embedding and causal transformer block."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.shared.step_dropout import StepDropout


class EventEmbedding(keras.layers.Layer):
    """Embeds the events of a history: the scaled item vector plus embeddings of position, event kind and time gap.

    Args:
        max_history: int. Number of position embeddings; later positions use the last one.
        num_event_kinds: int. Number of event kinds; unknown kinds (−1) add nothing.
        time_gaps: bool. Whether time gaps are embedded; otherwise they are ignored.
        scale: float. Initial value of the learned factor on the item vectors.

    Call arguments:
        vectors: float32 `[batch, length, dim]`.
        events: int32 `[batch, length]`, −1 is padding or unknown.
        gaps: float32 `[batch, length]`, log(1 + seconds since the event before), 0 without a clock.

    Returns:
        float32 `[batch, length, dim]`.
    """

    def __init__(
        self, max_history: int, num_event_kinds: int, time_gaps: bool = False, scale: float = 4.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_history, self.num_event_kinds, self.time_gaps = max_history, num_event_kinds, time_gaps
        self.start_scale = scale

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        self.scale = self.add_weight("scale", shape=(), initializer=keras.initializers.Constant(self.start_scale))
        self.positions = self.add_weight("positions", shape=(self.max_history, dim), initializer="zeros")
        self.kinds = self.add_weight("kinds", shape=(self.num_event_kinds + 1, dim), initializer="zeros")
        if self.time_gaps:
            self.gap = self.add_weight("gap", shape=(dim,), initializer="zeros")
        super().build(input_shape)

    def call(self, vectors: tf.Tensor, events: tf.Tensor, gaps: tf.Tensor) -> tf.Tensor:
        position = tf.minimum(tf.range(tf.shape(events)[1]), self.max_history - 1)
        kind = tf.where((events < 0) | (events >= self.num_event_kinds), self.num_event_kinds, events)
        known = tf.cast(kind < self.num_event_kinds, vectors.dtype)[..., None]
        kinds = tf.gather(self.kinds, kind) * known
        embedded = vectors * self.scale + self._position_vectors(position) + kinds
        return embedded + gaps[..., None] * self.gap if self.time_gaps else embedded

    def _position_vectors(self, position: tf.Tensor) -> tf.Tensor:
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return tf.gather(self.positions, position)
        # Every replica reads every position. Dense gradients are added before the optimizer clips them by their norm,
        # as one process has them; sparse ones would only be put one after the other.
        return tf.matmul(tf.one_hot(position, self.max_history, dtype=self.compute_dtype), self.positions)

    def get_config(self) -> dict[str, Any]:
        config = {
            "max_history": self.max_history,
            "num_event_kinds": self.num_event_kinds,
            "time_gaps": self.time_gaps,
            "scale": self.start_scale,
        }
        return {**super().get_config(), **config}


class CausalBlock(keras.layers.Layer):
    """A pre-norm transformer block with causal self-attention.

    Histories are padded on the right, so the causal mask is also the padding mask: all padding comes after the events,
    and no event attends to it.

    Args:
        heads: int. Attention heads; must divide the width.
        dropout: float in [0, 1).
        seed: int. Seed of the dropout masks.

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
        start = [keras.initializers.GlorotUniform(seed=self.seed + i) for i in range(4)]
        self.norm_1 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.norm_2 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.qkv = keras.layers.Dense(3 * dim, kernel_initializer=start[0], dtype=policy)
        self.output_projection = keras.layers.Dense(dim, kernel_initializer=start[1], dtype=policy)
        self.expand = keras.layers.Dense(2 * dim, "gelu", kernel_initializer=start[2], dtype=policy)
        self.contract = keras.layers.Dense(dim, kernel_initializer=start[3], dtype=policy)
        self.drops = [StepDropout(self.dropout, self.seed * 4 + i, dtype=policy) for i in range(4)]
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        attended = self._attend(self.norm_1(inputs), training)
        hidden = inputs + self.drops[0](attended, training=training)
        expanded = self.drops[1](self.expand(self.norm_2(hidden)), training=training)
        return hidden + self.drops[2](self.contract(expanded), training=training)

    def attention(self, inputs: tf.Tensor) -> tf.Tensor:
        """How much each position attends to each, the mean over the heads: float `[batch, length, length]`."""
        return tf.reduce_mean(self._attention_and_values(self.norm_1(inputs))[0], axis=1)

    def _attend(self, hidden: tf.Tensor, training: bool | None) -> tf.Tensor:
        batch, length = tf.unstack(tf.shape(hidden)[:2])
        attention, value = self._attention_and_values(hidden)
        mixed = tf.matmul(self.drops[3](attention, training=training), value)
        return self.output_projection(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, length, hidden.shape[-1]]))

    def _attention_and_values(self, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Attention `[batch, heads, length, length]` and values `[batch, heads, length, width]` of each head."""
        batch, length = tf.unstack(tf.shape(hidden)[:2])
        width = hidden.shape[-1] // self.heads
        qkv = tf.reshape(self.qkv(hidden), [batch, length, 3, self.heads, width])
        query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) * width**-0.5
        visible = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
        return tf.nn.softmax(tf.where(visible, scores, tf.constant(-1e9, scores.dtype))), value

    def at_newest(self, states: tf.Tensor, positions: tf.Tensor, newest: tf.Tensor, visible: tf.Tensor) -> tf.Tensor:
        """The block's output at the newest event of several variants of a history, whose events are projected once.

        Args:
            states: `[batch, events, dim]`, what the block reads at each event.
            positions: Unused, as the states tell where they are.
            newest: int32 `[batch, variants]`, the event to answer for in each variant.
            visible: bool `[batch, variants, events]`, the events of each variant, the newest among them.

        Returns:
            `[batch, variants, dim]`. Without dropout.
        """
        batch, events = tf.unstack(tf.shape(states)[:2])
        variants, width = tf.shape(newest)[1], states.shape[-1] // self.heads
        qkv = tf.reshape(self.qkv(self.norm_1(states)), [batch, events, 3, self.heads, width])
        query = tf.transpose(tf.gather(qkv[:, :, 0], newest, batch_dims=1), [0, 2, 1, 3])
        key, value = (tf.transpose(qkv[:, :, part], [0, 2, 1, 3]) for part in (1, 2))
        scores = tf.matmul(query, key, transpose_b=True) * width**-0.5
        scores = tf.where(visible[:, None], scores, tf.constant(-1e9, scores.dtype))
        mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
        mixed = tf.reshape(mixed, [batch, variants, states.shape[-1]])
        hidden = tf.gather(states, newest, batch_dims=1) + self.output_projection(mixed)
        return hidden + self.contract(self.expand(self.norm_2(hidden)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout, "seed": self.seed}
