"""A WordPiece vocabulary learnt from texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import tensorflow as tf
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from tfrec.encoders.tokenization.bert_preprocessor import SPECIAL_TOKENS
from tfrec.encoders.tokenization.whole_word_masking import MASK
from tfrec.errors import InvalidInput

RESERVED = (*SPECIAL_TOKENS, MASK)
_AT_ONCE = 1000


def learn_word_pieces(texts: Iterable[str], size: int, lower_case: bool = True) -> list[str]:
    """The word pieces that spell the texts best, found by tensorflow_text's learner.

    Args:
        texts: Read once.
        size: How many pieces are aimed at, [PAD], [UNK], [CLS], [SEP] and [MASK] among them; the learner comes close.
        lower_case: Whether texts are lower-cased and stripped of accents first.

    Returns:
        The pieces; the index is the id, the special tokens come first. The same texts give the same pieces.

    Raises:
        InvalidInput: There is no word in the texts, or `size` leaves no room for their letters.
    """

    raised: list[Exception] = []

    def batches() -> Iterator[list[bytes]]:
        remaining = iter(texts)
        try:
            while batch := [text.encode("utf-8", "replace") for text in islice(remaining, _AT_ONCE)]:
                yield batch
        except Exception as error:  # tf.data would pass on its message alone
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
        raise InvalidInput(f"No vocabulary of {size} pieces can be learnt from these texts. {error}".strip()) from None
    if len(pieces) == len(RESERVED):
        raise InvalidInput("There is no word in the texts to learn a vocabulary from. Give a corpus with text.")
    return list(pieces)
