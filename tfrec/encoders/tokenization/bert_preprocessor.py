"""BertPreprocessor: turns strings into the inputs of a BERT encoder, with tf-text's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor
from tfrec.encoders.tokenization.word_piece_rules import SPECIAL_TOKENS
from tfrec.errors import InvalidInput


class BertPreprocessor(Preprocessor):
    """A WordPiece tokeniser with the rules of tf-text's FastBertTokenizer, as encoder folders had before exact tokens.

    `WordPiecePreprocessor` follows Hugging Face's tokenisers instead. `Preprocessor` describes call and methods.

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
        missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
        if missing:
            raise InvalidInput(f"Expected {', '.join(SPECIAL_TOKENS)} in the vocabulary; {missing} are missing.")
        pad, _, start, end = (list(vocabulary).index(token) for token in SPECIAL_TOKENS)
        super().__init__(Frame((start,), (end,), pad), seq_length, "bert_preprocessor")
        try:
            self._tokenizer = tf_text.FastBertTokenizer(
                vocab=list(vocabulary),
                token_out_type=tf.int32,
                lower_case_nfd_strip_accents=lower_case,
            )
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(f"The vocabulary of {len(vocabulary)} word pieces cannot be used: {error}") from None

    def _tokens(self, texts: Any) -> Any:
        return self._tokenizer.tokenize(texts)
