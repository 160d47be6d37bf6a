"""Small layers around a TF-Hub text encoder that deduplicate, truncate and trim texts. Plain TensorFlow ops."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec import schema
from tfrec.keras import keras


class Distinct(keras.layers.Layer):
    """The distinct texts of a batch, in order of first occurrence, and the index of each row's text among them.

    With it, a behaviour text paired with a hundred candidates is encoded once, in training and in TF Serving.

    Call arguments:
        text: string `[batch]`.

    Returns:
        string `[distinct]` and int32 `[batch]`.

    Example:
        >>> texts, places = Distinct()(tf.constant(["a", "b", "a"]))
        >>> texts.numpy().tolist(), places.numpy().tolist()
        ([b'a', b'b'], [0, 1, 0])
    """

    def call(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        distinct = tf.unique(text)
        return distinct.y, distinct.idx


class Restore(keras.layers.Layer):
    """Undoes `Distinct`: `[vectors [distinct, dim], places [batch]]` → `[batch, dim]`."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        vectors, places = inputs
        return tf.gather(vectors, places)


class CutTokens(keras.layers.Layer):
    """Truncates each text to its first or its newest (last) tokens.

    Packers truncate at the end of a text, but a behaviour text has its newest events there.

    Args:
        length: int. Maximum number of tokens.
        keep: "newest" or "first".

    Call arguments:
        tokens: ragged int32 `[batch, (words), (tokens)]` or `[batch, (tokens)]`.

    Returns:
        ragged int32 `[batch, (tokens)]`.

    Example:
        >>> CutTokens(2, "newest")(tf.ragged.constant([[[1], [2, 3]], [[4]]])).to_list()
        [[2, 3], [4]]
    """

    def __init__(self, length: int, keep: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.keep = length, keep

    def call(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        if tokens.shape.rank == 3:
            tokens = tokens.merge_dims(1, 2)
        return tokens[:, -self.length :] if self.keep == "newest" else tokens[:, : self.length]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length, "keep": self.keep}


class TrimPadding(keras.layers.Layer):
    """Trims packed inputs, int32 `[batch, seq_length]` each, to the longest text of the batch.

    The encoder masks padding, so its output is unchanged, and short texts take less time.
    """

    def call(self, packed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        longest = tf.reduce_max(tf.reduce_sum(packed[schema.INPUT_MASK], axis=1), axis=0)
        width = tf.maximum(longest, 1)  # also for an empty batch
        return {name: value[:, :width] for name, value in packed.items()}
