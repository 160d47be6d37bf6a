"""UnigramPreprocessor: the tokens of SentencePiece's Unigram model (XLM-R and its kin), inside the graph."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor
from tfrec.encoders.tokenization.sentencepiece_model import sentencepiece_model
from tfrec.encoders.tokenization.unicode_8 import WHITE_SPACE, character_class
from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    from tfrec.encoders.tokenization.vocabulary import UnigramPieces


# SentencePiece writes its sign for a space before every word, `tokenizers` only before those that do not begin with it.
_SIGN = "\u2581"
_SPACE = character_class(WHITE_SPACE)


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
        pieces, self._stand_in = vocabulary.pieces, -1
        if pieces[vocabulary.unknown][0] not in vocabulary.special:
            # A piece that texts have is also the id of what is unknown: SentencePiece needs one of its own for that.
            pieces, self._stand_in = [*pieces, (" ", 0.0)], len(pieces)
        unknown = self._unknown if self._stand_in < 0 else self._stand_in
        model = sentencepiece_model(pieces, unknown, vocabulary.special, charsmap)
        try:
            self._tokenizer = tf_text.SentencepieceTokenizer(model, out_type=tf.int32)
        except (ValueError, tf.errors.OpError) as error:
            raise InvalidInput(f"The vocabulary of {len(vocabulary)} pieces cannot be used: {error}") from None

    def _tokens(self, texts: Any) -> Any:
        # The only white space that SentencePiece's normalisations leave as it is.
        spaced = tf.strings.regex_replace(texts, r"\x{85}", " ")
        signed = tf.strings.regex_replace(spaced, f"[{_SPACE}]+{_SIGN}", _SIGN)
        tokens = self._tokenizer.tokenize(tf.strings.regex_replace(signed, f"^{_SIGN}([^{_SPACE}])", r"\1"))
        if self._stand_in >= 0:
            tokens = self._fused(
                tokens.with_values(tf.where(tokens.values == self._stand_in, self._unknown, tokens.values))
            )
        if self._drop_unknown:
            tokens = tf.ragged.boolean_mask(tokens, tokens != self._unknown)
        return tokens.with_row_splits_dtype(tf.int64)

    def _fused(self, tokens: Any) -> Any:
        """One token for several unknown ones in a row, as `tokenizers` does by their ids."""
        unknown, rows = tokens.values == self._unknown, tokens.value_rowids()
        again = unknown[1:] & unknown[:-1] & (rows[1:] == rows[:-1])
        kept = tf.concat([tf.ones_like(unknown[:1]), ~again], 0)
        return tf.ragged.boolean_mask(tokens, tokens.with_values(kept))
