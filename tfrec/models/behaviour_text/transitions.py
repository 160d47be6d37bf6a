"""What followed the items that a behaviour text names, counted in the training sequences; plain TensorFlow ops."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from tfrec.data.histories import Histories
from tfrec.keras import keras
from tfrec.models.behaviour_text.item_mentions import columns_of_items, newest_items
from tfrec.models.shared.neighbours import history_neighbours, rarity

# Chosen on the validation users of MovieLens-100K and latest-small (leave-one-out), from windows of 5 to 20, decays of
# .5 to .95, discounts of 0 to 1, and 0 to 1 for what came before.
WINDOW = 10
"""An item follows another if it comes at most this many events later."""
DISTANCE_DECAY = 0.8
"""What an item counts relative to one that followed a step sooner."""
BACKWARD = 0.5
"""What an item counts that came before the other instead of after it."""
DISCOUNT = 0.6
"""Exponent of (typical frequency / frequency) of the item that was followed: a rare item says more."""
DECAY = 0.75
"""Weight of a named item relative to the next newer one."""
SHARE = 0.9
"""Share of the counts before validation chooses one."""
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.97)
"""The shares that validation chooses from."""
EVENTS = 50
"""Newest named items that count; an older one would have a weight below 1e-6."""


class Transitions(keras.layers.Layer):
    """Blends the logits of a text's network with what followed the named items in training.

    The result is `(1 − share) · logits + share · log(1 + Σ_t 0.75^t · C[n_t, j])`. n_t is the item named t places
    before the newest, and C counts how often j followed it, or came before it, in the training sequences (`count`); it
    is kept for the `k` best j of each item. Where nothing is named, the logits stay as they are.

    So they do in training, because the counts hold the very examples that are trained on and would look better than
    they are. The network learns from the text alone, and validation chooses the share.

    Args:
        names: int `[num_items]`, name of each item; −1 for none (see `ItemsInText`).
        num_names: int. Number of distinct names.
        k: int. Items kept for each name.
        share: float in [0, 1]. Share of the counts; initial value, saved with the weights.

    Call arguments:
        inputs: logits, float32 `[batch, num_items]`, and named, int32 `[batch, events]`, oldest first, −1 is padding.
        training: bool.

    Returns:
        float32 `[batch, num_items]`.
    """

    def __init__(
        self, names: Sequence[int] | np.ndarray, num_names: int, k: int = 64, share: float = SHARE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.names, self.k, self.start_share = np.asarray(names, np.int32), k, share
        self.num_names = max(1, num_names)  # a table must not be empty

    def build(self, input_shape: Any) -> None:
        shape, none = (self.num_names, self.k), keras.initializers.Constant(-1)
        self.near = self.add_weight("near", shape, "int32", none, trainable=False)
        self.counts = self.add_weight("counts", shape, initializer="zeros", trainable=False)
        start = keras.initializers.Constant(self.start_share)
        self.share = self.add_weight("share", (), initializer=start, trainable=False)
        super().build(input_shape)

    def count(self, histories: Histories, counted: np.ndarray | None = None) -> Self:
        """Counts what followed what.

        Args:
            histories: The training sequences.
            counted: bool `[events]`, events that count, such as all but dislikes. None for all.
        """
        if not self.built:
            self.build(None)
        named = self.names[histories.items]
        kept = (named >= 0) if counted is None else (named >= 0) & counted
        sequences = dataclasses.replace(histories, items=np.maximum(named, 0))
        near, counts = history_neighbours(
            sequences, self.num_names, self.k, WINDOW, kept, decay=DISTANCE_DECAY, backward=BACKWARD
        )
        frequencies = np.bincount(named[kept], minlength=self.num_names)
        self.near.assign(near)
        self.counts.assign(counts * np.exp(DISCOUNT * rarity(frequencies))[:, None])
        return self

    def call(self, inputs: list[tf.Tensor], training: bool | None = None) -> tf.Tensor:
        logits, named = inputs
        if training:
            return logits
        share = tf.where(tf.reduce_any(named >= 0, axis=1), self.share, 0.0)[:, None]
        return (1 - share) * logits + share * self.scores(named)

    def scores(self, named: tf.Tensor) -> tf.Tensor:
        """float32 `[batch, num_items]`: the logarithm that the counts give."""
        recent = newest_items(named, EVENTS)
        followers = tf.where(recent[..., None] >= 0, tf.gather(self.near, tf.maximum(recent, 0)), -1)
        weights = tf.constant(DECAY ** np.arange(EVENTS), tf.float32)[:, None]
        values = tf.gather(self.counts, tf.maximum(recent, 0)) * weights
        flat, width = tf.stack([tf.shape(named)[0], EVENTS * self.k]), self.num_names + 1
        columns = tf.reshape(tf.where(followers >= 0, followers, self.num_names), flat)  # a last column for padding
        sums = tf.math.bincount(columns, tf.reshape(values, flat), minlength=width, maxlength=width, axis=-1)
        return columns_of_items(tf.math.log1p(sums), self.names)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "names": self.names.tolist(),
            "num_names": self.num_names,
            "k": self.k,
            "share": self.start_share,
        }
