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


class Prompted(keras.layers.Layer):
    """Texts with a prompt before them.

    Args:
        prompt: Such as "query: ".

    Call arguments:
        text: string `[batch]`.

    Example:
        >>> Prompted("query: ")(tf.constant(["tea"])).numpy().tolist()
        [b'query: tea']
    """

    def __init__(self, prompt: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prompt = prompt

    def call(self, text: tf.Tensor) -> tf.Tensor:
        return tf.strings.join([self.prompt, text]) if self.prompt else text

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prompt": self.prompt}


class CutTokens(keras.layers.Layer):
    """Truncates each text to its first or its newest (last) tokens.

    Packers truncate at the end of a text, but a behaviour text has its newest events there.

    Args:
        length: int. Maximum number of tokens.
        keep: "newest" or "first".
        prompt: int. Number of tokens at the start that are kept in any case.

    Call arguments:
        tokens: ragged int32 `[batch, (words), (tokens)]` or `[batch, (tokens)]`.

    Returns:
        ragged int32 `[batch, (tokens)]`.

    Example:
        >>> CutTokens(2, "newest")(tf.ragged.constant([[[1], [2, 3]], [[4]]])).to_list()
        [[2, 3], [4]]
    """

    def __init__(self, length: int, keep: str, prompt: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.keep, self.prompt = length, keep, prompt

    def call(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        if tokens.shape.rank == 3:
            tokens = tokens.merge_dims(1, 2)
        if self.keep == "first":
            return tokens[:, : self.length]
        if not self.prompt:
            return tokens[:, -self.length :]
        newest = tokens[:, self.prompt :][:, -(self.length - self.prompt) :]
        return tf.concat([tokens[:, : self.prompt], newest], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length, "keep": self.keep, "prompt": self.prompt}


class TrimPadding(keras.layers.Layer):
    """Trims packed inputs, int32 `[batch, seq_length]` each, to the longest text of the batch.

    The encoder masks padding, so its output is unchanged, and short texts take less time.
    """

    def call(self, packed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        longest = tf.reduce_max(tf.reduce_sum(packed[schema.INPUT_MASK], axis=1), axis=0)
        width = tf.maximum(longest, 1)  # also for an empty batch
        return {name: value[:, :width] for name, value in packed.items()}
