"""WordPiecePreprocessor: the tokens of Hugging Face's BERT tokenisers, inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.bert_characters import BertNormalisation, bert_characters
from tfrec.encoders.tokenization.character_map import compile_character_map
from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor, valid_utf8
from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
from tfrec.errors import InvalidInput

_UTF8_BYTES = 4  # of a character, at most


class WordPiecePreprocessor(Preprocessor):
    """A WordPiece tokeniser equal to `tokenizers`' BertNormalizer, BertPreTokenizer and WordPiece.

    tf-text's own BERT tokeniser folds compatibility characters (™, ½, full width), counts the length of a word in bytes
    instead of characters, and replaces control characters by spaces; this one does not. `Preprocessor` describes the
    call and the methods.

    Args:
        vocabulary: Word pieces by id.
        rules: How texts become words, and words pieces.
        seq_length: int. Length of the tensors that `__call__` returns.

    Raises:
        InvalidInput: The vocabulary lacks the unknown token, or tf-text cannot use it.

    Example:
        >>> from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
        >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "½"]
        >>> preprocess = WordPiecePreprocessor(pieces, WordPieceRules.bert(pieces), seq_length=7)
        >>> preprocess(tf.constant(["Ab ½ ü"]))["input_word_ids"].numpy()
        array([[2, 4, 5, 6, 1, 3, 0]], dtype=int32)
    """

    def __init__(self, vocabulary: Sequence[str], rules: WordPieceRules, seq_length: int = DEFAULT_LENGTH) -> None:
        super().__init__(rules.frame, seq_length, "word_piece_preprocessor")
        if rules.unknown not in vocabulary:
            raise InvalidInput(f"Expected {rules.unknown} in the vocabulary; it is missing. Use files of one model.")
        self._rules, self._unknown_id = rules, list(vocabulary).index(rules.unknown)
        self._normalizer = tf_text.FastBertNormalizer(model_buffer=_character_map(rules.normalisation))
        # No word has a space, so that with one in front a special token is never found in a text.
        special = {rules.unknown, *rules.special}
        pieces = [f" {piece}" if piece in special else piece for piece in vocabulary]
        self._unknown = f" {rules.unknown}"
        try:
            self._tokenizer = tf_text.FastWordpieceTokenizer(
                vocab=pieces,
                suffix_indicator=rules.continuing_prefix,
                max_bytes_per_word=_UTF8_BYTES * rules.max_characters,
                token_out_type=tf.int32,
                unknown_token=self._unknown,
                no_pretokenization=True,
            )
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(f"The vocabulary of {len(vocabulary)} word pieces cannot be used: {error}") from None

    def _tokens(self, texts: Any) -> Any:
        words = tf.strings.split(self._normalizer.normalize(valid_utf8(texts)))
        distinct, place = tf.unique(words.flat_values)  # texts share most of their words
        pieces = self._tokenizer.tokenize(self._without_long(distinct))
        tokens = words.with_values(tf.gather(pieces, place)).merge_dims(1, 2)
        if self._rules.drop_unknown:
            tokens = tf.ragged.boolean_mask(tokens, tokens != self._unknown_id)
        return tokens

    def _without_long(self, words: Any) -> Any:
        """string `[words]` with the unknown token for too long words. Bytes are counted faster than characters."""
        limit = self._rules.max_characters

        def replaced() -> Any:
            return tf.where(tf.strings.length(words, "UTF8_CHAR") > limit, self._unknown, words)

        return tf.cond(tf.reduce_any(tf.strings.length(words) > limit), replaced, lambda: words)


@cache
def _character_map(normalisation: BertNormalisation) -> Any:
    with tf.init_scope():
        return tf.constant(np.frombuffer(compile_character_map(bert_characters(normalisation)), np.uint8))
