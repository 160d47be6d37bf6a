"""Preprocessor: the base class of the text preprocessors, which tokenise strings and pack the tokens for an encoder."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.frame import Frame
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

DEFAULT_LENGTH = 128  # the default of TF-Hub's BERT preprocessors


class Preprocessor(tf.Module):
    """Tokenises and packs texts. It can be saved as a TF-Hub text preprocessor.

    A text never gives a special token: only the frame does.

    Args:
        frame: The tokens around a text.
        seq_length: int. Length of the tensors that `__call__` returns.
        name: Name of the module.

    Call arguments:
        texts: string `[batch]`, UTF-8. An empty text becomes the frame alone.

    Returns:
        A dict of `input_word_ids`, `input_mask`, `input_type_ids`, int32 `[batch, seq_length]`, padded on the right.
    """

    def __init__(self, frame: Frame, seq_length: int, name: str) -> None:
        super().__init__(name=name)
        self.seq_length, self._frame = seq_length, frame
        ragged = tf.RaggedTensorSpec([None, None], tf.int32)
        length = tf.TensorSpec([], tf.int32, name="seq_length")
        for segments in (1, 2):
            self.bert_pack_inputs.get_concrete_function([ragged] * segments, seq_length=length)

    @abstractmethod
    def _tokens(self, texts: Any) -> Any:
        """Tokenises string `[batch]` → ragged int32 `[batch, (tokens)]`, without the frame."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def __call__(self, texts: Any) -> dict[str, Any]:
        """See the class."""
        return self._pack([self.tokenize(texts)], self.seq_length)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def tokenize(self, texts: Any) -> Any:
        """Tokenises string `[batch]` → ragged int32 `[batch, (tokens)]`, without the frame."""
        return self._tokens(texts)

    @tf.function
    def bert_pack_inputs(self, inputs: list[Any], seq_length: Any) -> dict[str, Any]:
        """Packs one or two segments into the encoder's inputs.

        Args:
            inputs: One or two ragged int32 `[batch, (tokens)]`. Two segments that do not fit are truncated token by
                token, the longer one first.
            seq_length: int32 scalar. Length of the result.

        Returns:
            The dict of `__call__`, int32 `[batch, seq_length]` each.
        """
        return self._pack(inputs, seq_length)

    def _pack(self, segments: list[Any], seq_length: Any) -> dict[str, Any]:
        around = len(self._frame.start) + len(segments) * len(self._frame.end)
        trimmed = tf_text.RoundRobinTrimmer(tf.maximum(seq_length - around, 0)).trim(segments)
        rows = trimmed[0].nrows()

        def repeated(ids: tuple[int, ...]) -> Any:
            return tf.tile(tf.constant([ids], tf.int32, [1, len(ids)]), [rows, 1])

        framed = [tf.concat([segment, repeated(self._frame.end)], 1) for segment in trimmed]
        framed[0] = tf.concat([repeated(self._frame.start), framed[0]], 1)
        types = tf.concat([tf.ones_like(segment) * number for number, segment in enumerate(framed)], 1)
        word_ids, mask = tf_text.pad_model_inputs(tf.concat(framed, 1), seq_length, pad_value=self._frame.pad)
        type_ids, _ = tf_text.pad_model_inputs(types, seq_length)
        return {INPUT_WORD_IDS: word_ids, INPUT_MASK: tf.cast(mask, tf.int32), INPUT_TYPE_IDS: type_ids}


def valid_utf8(texts: Any) -> Any:
    """string `[batch]` with U+FFFD for what is not UTF-8. Looking for such bytes is much faster than replacing them."""
    valid = tf.reduce_all(tf.strings.regex_full_match(texts, r"(?s).*"))
    return tf.cond(valid, lambda: texts, lambda: tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
