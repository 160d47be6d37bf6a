"""Finds the items named in a behaviour text and adds a learned bias to their logits; plain TensorFlow ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.behaviour_text import BETWEEN_EVENTS, event_text
from tfrec.keras import keras


class ItemsInText(keras.layers.Layer):
    """Finds the items that a behaviour text names, by their exact text.

    The text is split the way `behaviour_text` joined it. Items with the same text share a name, because the text alone
    does not say which of them was meant.

    Args:
        texts: Item texts in catalogue order. Items without a text have no name.

    Call arguments:
        behaviour: string `[batch]`.

    Returns:
        int32 `[batch, events]`: the names, oldest event first; −1 for texts not in the catalogue and for padding.

    Example:
        >>> layer = ItemsInText(["tea pot", "hat", "", "hat"])
        >>> layer(tf.constant(["viewed: hat; bought: tea pot; viewed: shoe", ""])).numpy()
        array([[ 1,  0, -1], [-1, -1, -1]], dtype=int32)
        >>> layer.names
        array([ 0,  1, -1,  1], dtype=int32)
    """

    def __init__(self, texts: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.texts = list(texts)
        keys = [event_text(text) for text in self.texts]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(key for key in keys if key))}
        self.count = len(numbers)
        self.names = np.array([numbers.get(key, -1) for key in keys], np.int32)
        keys, values = [*numbers, ""], [*numbers.values(), -1]  # the table must not be empty
        pairs = tf.lookup.KeyValueTensorInitializer(keys, values, tf.string, tf.int64)
        self.table = tf.lookup.StaticHashTable(pairs, -1)

    def call(self, behaviour: tf.Tensor) -> tf.Tensor:
        events = tf.strings.split(behaviour, BETWEEN_EVENTS)
        names = self.table.lookup(tf.strings.regex_replace(events.flat_values, r"^.*?: ", "", replace_global=False))
        return events.with_flat_values(tf.cast(names, tf.int32)).to_tensor(-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "texts": self.texts}


class NamedBias(keras.layers.Layer):
    """Adds a learned bias to the logits of items the user already took: one for the newest item, one for the others.

    If users take each item once, the bias keeps items they already have out of the top of the list; if they buy again,
    it learns the opposite sign.

    Args:
        names: int `[num_items]`, name of each item; −1 for none.
        count: int. Number of distinct names.

    Call arguments:
        inputs: logits, float32 `[batch, num_items]`, and named, int32 `[batch, events]`, oldest first, −1 is padding.

    Returns:
        float32 `[batch, num_items]`. The bias is added once, however often an item is named.
    """

    def __init__(self, names: Sequence[int] | np.ndarray, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names, self.count = np.asarray(names, np.int32), count

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight("bias", shape=(2,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        logits, named = inputs
        of_item = self.kinds(named)
        biases = [
            tf.cast(of_item == kind, logits.dtype) * tf.cast(self.bias[2 - kind], logits.dtype) for kind in (2, 1)
        ]
        return logits + tf.add_n(biases)

    def kinds(self, named: tf.Tensor) -> tf.Tensor:
        """Whether each item is named, int32 `[batch, num_items]`: 2 for the newest, 1 for the others, 0 for none."""
        width = self.count + 1  # a last column for padding
        columns = tf.where(named >= 0, named, self.count)
        taken = tf.math.bincount(columns, minlength=width, maxlength=width, axis=-1, binary_output=True)
        newest = tf.one_hot(newest_items(named, 1)[:, 0], width, dtype=tf.int32)  # no 1 for a newest of −1
        return columns_of_items(taken + newest, self.names)  # 2 for the newest item, also if it is older as well

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "names": self.names.tolist(), "count": self.count}


def newest_items(named: tf.Tensor, count: int) -> tf.Tensor:
    """int32 `[batch, count]`: the items of `named`, int32 `[batch, events]`, newest first; −1 is padding.

    Events between two named ones keep their place, as −1; padding after the newest has none.
    """
    newest = tf.reduce_max(tf.where(named >= 0, tf.range(tf.shape(named)[1]), -1), axis=1)
    places = newest[:, None] - tf.range(count)
    return tf.where(places >= 0, tf.gather(named, tf.maximum(places, 0), batch_dims=1), -1)


def columns_of_items(by_name: tf.Tensor, names: np.ndarray) -> tf.Tensor:
    """Values of names as values of items, `[batch, num_items]`; 0 for items without a name.

    Args:
        by_name: `[batch, num_names + 1]`. The last column, of what has no name, is not used.
        names: int `[num_items]`, name of each item; −1 for none.
    """
    values = tf.concat([by_name[:, :-1], tf.zeros_like(by_name[:, -1:])], axis=1)
    return tf.gather(values, tf.where(names >= 0, names, tf.shape(values)[1] - 1), axis=1)
