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
        places = tf.range(tf.shape(named)[1])
        newest = tf.reduce_max(tf.where(named >= 0, places, -1), axis=1)
        # An extra last column collects the padding; no item reads it.
        shape = [tf.shape(named)[0], self.count + 1]
        kinds = tf.where(places == newest[:, None], 2, 1)  # a newest item that is also older counts as the newest
        columns = tf.where(named >= 0, named, self.count)
        rows = tf.broadcast_to(tf.range(shape[0])[:, None], tf.shape(named))
        marks = tf.tensor_scatter_nd_max(tf.zeros(shape, tf.int32), tf.stack([rows, columns], -1), kinds)
        marks = tf.where(tf.range(self.count + 1) == self.count, 0, marks)
        of_item = tf.gather(marks, tf.where(self.names >= 0, self.names, self.count), axis=1)
        biases = [
            tf.cast(of_item == kind, logits.dtype) * tf.cast(self.bias[2 - kind], logits.dtype) for kind in (2, 1)
        ]
        return logits + tf.add_n(biases)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "names": self.names.tolist(), "count": self.count}
