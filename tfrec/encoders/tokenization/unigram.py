"""UnigramPreprocessor: the tokens of SentencePiece's Unigram model (XLM-R and its kin), inside the graph."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor
from tfrec.encoders.tokenization.sentencepiece_model import sentencepiece_model
from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    from tfrec.encoders.tokenization.vocabulary import UnigramPieces


class UnigramPreprocessor(Preprocessor):
    """A Unigram tokeniser: tf-text's SentencePiece op over the pieces of a tokenizer.json.

    `Preprocessor` describes the call and the methods.

    Args:
        vocabulary: The pieces.
        seq_length: int. Length of the tensors that `__call__` returns.

    Raises:
        InvalidInput: tf-text cannot use the pieces.
    """

    def __init__(self, vocabulary: UnigramPieces, seq_length: int = DEFAULT_LENGTH) -> None:
        super().__init__(vocabulary.frame, seq_length, "unigram_preprocessor")
        self._unknown, self._drop_unknown = vocabulary.unknown, vocabulary.drop_unknown
        charsmap = base64.b64decode(vocabulary.charsmap)
        model = sentencepiece_model(vocabulary.pieces, vocabulary.unknown, vocabulary.special, charsmap)
        try:
            self._tokenizer = tf_text.SentencepieceTokenizer(model, out_type=tf.int32)
        except (ValueError, tf.errors.OpError) as error:
            raise InvalidInput(f"The vocabulary of {len(vocabulary)} pieces cannot be used: {error}") from None

    def _tokens(self, texts: Any) -> Any:
        # The only white space that SentencePiece's normalisations leave as it is.
        tokens = self._tokenizer.tokenize(tf.strings.regex_replace(texts, r"\x{85}", " "))
        if self._drop_unknown:
            tokens = tf.ragged.boolean_mask(tokens, tokens != self._unknown)
        return tokens.with_row_splits_dtype(tf.int64)
