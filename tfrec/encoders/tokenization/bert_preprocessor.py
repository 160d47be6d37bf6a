"""BertPreprocessor: turns strings into the inputs of a BERT encoder, inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.errors import InvalidInput
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
DEFAULT_LENGTH = 128  # the default of TF-Hub's BERT preprocessors


class BertPreprocessor(tf.Module):
    """A WordPiece tokeniser with packing, which can be saved as a TF-Hub text preprocessor.

    Args:
        vocabulary: The word pieces by id, including [PAD], [UNK], [CLS] and [SEP].
        lower_case: Whether to lower-case texts and strip accents, as for uncased checkpoints.
        seq_length: int. Length of the tensors that `__call__` returns.

    Call arguments:
        texts: string `[batch]`, UTF-8. An empty text becomes [CLS] [SEP]; a word that the vocabulary cannot spell
            becomes [UNK].

    Returns:
        A dict of `input_word_ids`, `input_mask`, `input_type_ids`, int32 `[batch, seq_length]`, padded on the right.

    Raises:
        InvalidInput: The vocabulary lacks a special token, or tf-text cannot use it.

    Example:
        >>> preprocess = BertPreprocessor(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b"], True, seq_length=6)
        >>> preprocess(tf.constant(["Ab ü"]))["input_word_ids"].numpy()
        array([[2, 4, 5, 1, 3, 0]], dtype=int32)
    """

    def __init__(self, vocabulary: Sequence[str], lower_case: bool, seq_length: int = DEFAULT_LENGTH) -> None:
        super().__init__(name="bert_preprocessor")
        missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
        if missing:
            raise InvalidInput(f"Expected {', '.join(SPECIAL_TOKENS)} in the vocabulary; {missing} are missing.")
        self.seq_length = seq_length
        self._pad, _, self._start, self._end = (list(vocabulary).index(token) for token in SPECIAL_TOKENS)
        try:
            self._tokenizer = tf_text.FastBertTokenizer(
                vocab=list(vocabulary),
                token_out_type=tf.int32,
                lower_case_nfd_strip_accents=lower_case,
            )
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(f"The vocabulary of {len(vocabulary)} word pieces cannot be used: {error}") from None
        ragged = tf.RaggedTensorSpec([None, None], tf.int32)
        length = tf.TensorSpec([], tf.int32, name="seq_length")
        for segments in (1, 2):
            self.bert_pack_inputs.get_concrete_function([ragged] * segments, seq_length=length)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def __call__(self, texts: Any) -> dict[str, Any]:
        """See the class."""
        return self._pack([self.tokenize(texts)], self.seq_length)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def tokenize(self, texts: Any) -> Any:
        """Tokenises string `[batch]` → ragged int32 `[batch, (tokens)]`, without [CLS] and [SEP]."""
        return self._tokenizer.tokenize(texts)

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
        room = tf.maximum(seq_length - len(segments) - 1, 0)
        trimmed = tf_text.RoundRobinTrimmer(room).trim(segments)
        tokens, types = tf_text.combine_segments(trimmed, self._start, self._end)
        word_ids, mask = tf_text.pad_model_inputs(tokens, seq_length, pad_value=self._pad)
        type_ids, _ = tf_text.pad_model_inputs(types, seq_length)
        return {INPUT_WORD_IDS: word_ids, INPUT_MASK: tf.cast(mask, tf.int32), INPUT_TYPE_IDS: type_ids}
