"""The layers NextItemModel is made of: item vectors, causal transformer, repeatable dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras


class StepDropout(keras.layers.Layer):
    """Dropout whose masks depend on a seed and on how many training calls went before, nothing else.

    The counter is a weight, so a run that was killed and resumed from a checkpoint draws the masks it would have drawn.

    Args:
        rate: float in [0, 1). Share of values set to 0; the rest is scaled by 1 / (1 − rate).
        seed: int. Distinguishes layers and runs.

    Call arguments:
        inputs: float tensor of any shape.
        training: bool. Off: the inputs are returned unchanged.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        self.calls = self.add_weight("calls", shape=(), dtype="int32", initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        call = self.calls.assign_add(1)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed=tf.stack([self.seed, call]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class ItemTable(keras.layers.Layer):
    """Item vectors: P · text + id, with P linear and the id part a trainable difference that starts at 0.

    Args:
        num_items: int. Items in the catalogue.
        text_dim: int. Width of the text vectors; 0 for a model without text.
        dim: int. Width of the item vectors.
        use_id: bool. Whether items have a vector of their own.

    Call arguments:
        indices: int32 of any shape. Catalogue positions; −1 is padding and gives a vector of zeros.

    Returns:
        float32 `indices.shape + [dim]`, of unit length.
    """

    def __init__(self, num_items: int, text_dim: int, dim: int, use_id: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not text_dim and not use_id:
            raise ValueError("Expected text vectors, ids or both; received neither.")
        self.num_items, self.text_dim, self.dim, self.use_id = num_items, text_dim, dim, use_id

    def build(self, input_shape: Any) -> None:
        if self.text_dim:
            self.text = self.add_weight("text", shape=(self.num_items, self.text_dim), trainable=False)
            self.mean = self.add_weight("mean", shape=(self.text_dim,), initializer="zeros", trainable=False)
            self.projection = self.add_weight("projection", shape=(self.text_dim, self.dim))
        if self.use_id:
            start = "zeros" if self.text_dim else keras.initializers.RandomNormal(stddev=0.02, seed=17)
            self.ids = self.add_weight("ids", shape=(self.num_items, self.dim), initializer=start)
        super().build(input_shape)

    def start_from(self, text_vectors: np.ndarray) -> None:
        """Sets the text vectors, float32 `[num_items, text_dim]`, and starts P at their principal components."""
        mean = text_vectors.mean(axis=0)
        centred = (text_vectors - mean).astype(np.float64)
        _, vectors = np.linalg.eigh(centred.T @ centred)
        components = vectors[:, ::-1][:, : self.dim]
        # eigh leaves the sign of each component open; the largest entry is made positive so that runs agree
        largest = np.abs(components).argmax(axis=0)
        components = components * np.sign(components[largest, np.arange(components.shape[1])])
        self.text.assign(text_vectors)
        self.mean.assign(mean)
        self.projection.assign(components.astype(np.float32))

    def vectors(self) -> tf.Tensor:
        """All item vectors, float32 `[num_items, dim]`, of unit length."""
        parts = []
        if self.text_dim:
            parts.append(self._project(self.text))
        if self.use_id:
            parts.append(tf.convert_to_tensor(self.ids))
        return tf.math.l2_normalize(tf.add_n(parts), axis=-1)

    def of_text(self, text_vectors: tf.Tensor) -> tf.Tensor:
        """Vectors of items known by their text alone: float32 `[..., text_dim]` to `[..., dim]`, of unit length."""
        if not self.text_dim:
            raise ValueError("Expected a model with text; this one was built with use_text=False.")
        return tf.math.l2_normalize(self._project(text_vectors), axis=-1)

    def call(self, indices: tf.Tensor) -> tf.Tensor:
        vectors = tf.gather(self.vectors(), tf.maximum(indices, 0))
        return vectors * tf.cast(indices >= 0, vectors.dtype)[..., None]

    def _project(self, text_vectors: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matmul(text_vectors - self.mean, self.projection)

    def get_config(self) -> dict[str, Any]:
        config = {"num_items": self.num_items, "text_dim": self.text_dim, "dim": self.dim, "use_id": self.use_id}
        return {**super().get_config(), **config}


class EventEmbedding(keras.layers.Layer):
    """What is added to an item vector in a history: its position, event kind and time gap.

    Args:
        max_history: int. Positions told apart; older ones share the last.
        num_event_kinds: int. Kinds told apart; unknown ones (−1) add nothing.
        time_gaps: bool. Whether time gaps are read; off, they are ignored.

    Call arguments:
        vectors: float32 `[batch, length, dim]`.
        events: int32 `[batch, length]`, −1 is padding or unknown.
        gaps: float32 `[batch, length]`, log(1 + seconds since the event before), 0 without a clock.

    Returns:
        float32 `[batch, length, dim]`.
    """

    def __init__(self, max_history: int, num_event_kinds: int, time_gaps: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_history, self.num_event_kinds, self.time_gaps = max_history, num_event_kinds, time_gaps

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        self.scale = self.add_weight("scale", shape=(), initializer=keras.initializers.Constant(dim**0.5))
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
        embedded = vectors * self.scale + tf.gather(self.positions, position) + kinds
        return embedded + gaps[..., None] * self.gap if self.time_gaps else embedded

    def get_config(self) -> dict[str, Any]:
        config = {
            "max_history": self.max_history,
            "num_event_kinds": self.num_event_kinds,
            "time_gaps": self.time_gaps,
        }
        return {**super().get_config(), **config}


class CausalBlock(keras.layers.Layer):
    """A pre-norm transformer block in which no position sees a later one.

    Histories are padded on the right, so the causal mask is the padding mask too: padding stands after every real
    event, and no real position looks at it.

    Args:
        heads: int. Must divide the width.
        dropout: float in [0, 1).
        seed: int. Of the dropout masks.

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
            raise ValueError(f"Expected a width divisible by heads={self.heads}, received {dim}.")
        policy = self.dtype_policy
        start = [keras.initializers.GlorotUniform(seed=self.seed + i) for i in range(4)]
        self.norm_1 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.norm_2 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.qkv = keras.layers.Dense(3 * dim, kernel_initializer=start[0], dtype=policy)
        self.output_projection = keras.layers.Dense(dim, kernel_initializer=start[1], dtype=policy)
        self.expand = keras.layers.Dense(2 * dim, "gelu", kernel_initializer=start[2], dtype=policy)
        self.contract = keras.layers.Dense(dim, kernel_initializer=start[3], dtype=policy)
        self.drop_1 = StepDropout(self.dropout, self.seed * 2 + 1, dtype=policy)
        self.drop_2 = StepDropout(self.dropout, self.seed * 2 + 2, dtype=policy)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        hidden = inputs + self.drop_1(self._attend(self.norm_1(inputs)), training=training)
        return hidden + self.drop_2(self.contract(self.expand(self.norm_2(hidden))), training=training)

    def _attend(self, hidden: tf.Tensor) -> tf.Tensor:
        batch, length = tf.unstack(tf.shape(hidden)[:2])
        width = hidden.shape[-1] // self.heads
        qkv = tf.reshape(self.qkv(hidden), [batch, length, 3, self.heads, width])
        query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) * width**-0.5
        later = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
        scores = tf.where(later, scores, tf.constant(-1e9, scores.dtype))
        mixed = tf.matmul(tf.nn.softmax(scores), value)
        return self.output_projection(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, length, hidden.shape[-1]]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout, "seed": self.seed}


class RepeatBias(keras.layers.Layer):
    """Two learned numbers added to the scores of items the user already has: the newest item, and the others.

    Models otherwise fill the top of the list with what is in the history; where people buy again, the bias learns the
    opposite sign.

    Call arguments:
        items: int32 `[batch, length]`, oldest first, −1 is padding (on the right).

    Returns:
        indices: int32 `[batch, length]`, 0 at padding. values: float32 `[batch, length]`, to be added to the scores at
        `indices`. An item that occurs several times carries its value once; the rest, and padding, carry 0.
    """

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight("bias", shape=(2,), initializer="zeros")
        super().build(input_shape)

    def call(self, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        length = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
        newest = tf.gather(items, tf.maximum(length - 1, 0), axis=1, batch_dims=1)
        values = tf.where(items == newest[:, None], self.bias[0], self.bias[1])
        values = tf.where(_first_occurrence(items) & (items >= 0), values, 0.0)
        return tf.maximum(items, 0), values

    def at_every_position(self, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for each prefix of the histories at once.

        Returns:
            indices: int32 `[batch, length, length]` and values: float32 of the same shape; entry [b, p, t] is about the
            item at position t, as seen from the prefix that ends at position p.
        """
        length = tf.shape(items)[1]
        past = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
        counted = (_first_occurrence(items) & (items >= 0))[:, None, :] & past
        values = tf.where(items[:, None, :] == items[:, :, None], self.bias[0], self.bias[1])
        return tf.broadcast_to(tf.maximum(items, 0)[:, None, :], tf.shape(values)), tf.where(counted, values, 0.0)


def _first_occurrence(items: tf.Tensor) -> tf.Tensor:
    """bool `[batch, length]`: whether no earlier column of the row holds the same item."""
    same = items[:, :, None] == items[:, None, :]
    earlier = tf.linalg.band_part(tf.ones_like(same), -1, 0) & ~tf.linalg.band_part(tf.ones_like(same), 0, 0)
    return ~tf.reduce_any(same & earlier, axis=2)
