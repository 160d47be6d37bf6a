"""Learns a WordPiece vocabulary from texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import tensorflow as tf
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from tfrec.encoders.tokenization.word_piece_rules import MASK, SPECIAL_TOKENS
from tfrec.errors import InvalidInput

RESERVED = (*SPECIAL_TOKENS, MASK)
_AT_ONCE = 1000  # texts per batch


def learn_word_pieces(texts: Iterable[str], size: int, lower_case: bool = True) -> list[str]:
    """Learns word pieces with tensorflow_text.

    Args:
        texts: The texts; they are iterated over once.
        size: int. Approximate number of pieces, including [PAD], [UNK], [CLS], [SEP] and [MASK].
        lower_case: Whether to lower-case texts and strip accents first.

    Returns:
        The word pieces by id, special tokens first. The same texts give the same pieces.

    Raises:
        InvalidInput: The texts contain no word, or `size` is too small for their letters.
    """

    raised: list[Exception] = []

    def batches() -> Iterator[list[bytes]]:
        remaining = iter(texts)
        try:
            while batch := [text.encode("utf-8", "replace") for text in islice(remaining, _AT_ONCE)]:
                yield batch
        except Exception as error:  # tf.data would keep only the message
            raised.append(error)
            raise

    data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None], tf.string))
    try:
        pieces = bert_vocab_from_dataset.bert_vocab_from_dataset(
            data, size, list(RESERVED), bert_tokenizer_params={"lower_case": lower_case}
        )
    except (ValueError, IndexError, StopIteration, tf.errors.OpError) as error:
        if raised:
            raise raised[0] from None
        raise InvalidInput(f"Cannot learn a vocabulary of {size} pieces from these texts. {error}".strip()) from None
    if len(pieces) == len(RESERVED):
        raise InvalidInput("The texts contain no word to learn a vocabulary from. Pass a corpus with text.")
    return list(pieces)
