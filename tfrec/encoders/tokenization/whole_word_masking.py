"""Dynamic whole-word masking for masked language models, with tf-text's ops and reproducible randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.word_piece_rules import MASK, SPECIAL_TOKENS
from tfrec.errors import InvalidInput


class WholeWordMasking:
    """Masks whole words: 80% of their pieces become [MASK], 10% a random piece, and 10% stay unchanged.

    As in BERT (Devlin et al., 2019) with whole-word masking, with a new draw for each seed.

    Args:
        vocabulary: Word pieces by id, including [MASK].
        rate: float. Share of a text's words to mask, rounded up. The default 0.15 is BERT's.

    Call arguments:
        tokens: ragged int32 `[batch, (tokens)]`. Special tokens are never masked.
        seed: int32 `[2]`. The same seed masks the same words.

    Returns:
        The masked tokens, ragged int32 `[batch, (tokens)]`; the chosen positions, ragged int64 `[batch, (chosen)]`; and
        the true tokens at these positions, ragged int32 `[batch, (chosen)]`.

    Raises:
        InvalidInput: The vocabulary has no [MASK].
    """

    def __init__(self, vocabulary: Sequence[str], rate: float = 0.15) -> None:
        if MASK not in vocabulary:
            raise InvalidInput(f"Expected {MASK} in the vocabulary; it is missing. Use a vocabulary that has it.")
        pieces = list(vocabulary)
        self._continues = tf.constant([piece.startswith("##") for piece in pieces])
        self._special = [pieces.index(token) for token in (*SPECIAL_TOKENS, MASK) if token in pieces]
        self._size, self._mask, self._rate = len(pieces), pieces.index(MASK), rate

    def __call__(self, tokens: Any, seed: Any) -> tuple[Any, Any, Any]:
        """See the class."""
        selector = _SeededWordSelector(self._rate, self._special, seed)
        chooser = _SeededMaskValues(self._size, self._mask, seed + [0, 1])
        return tf_text.mask_language_model(self._group_words(tokens), selector, chooser, axis=1)

    def _group_words(self, tokens: Any) -> Any:
        """Groups the pieces of each word, ragged `[batch, (words), (pieces)]`."""
        flat, rows = tokens.flat_values, tokens.value_rowids()
        first = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.size(flat)]
        begins = first | ~tf.gather(self._continues, flat)
        number = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        count = tf.reduce_sum(tf.cast(begins, tf.int64))
        words = tf.RaggedTensor.from_value_rowids(flat, number, count)
        return tf.RaggedTensor.from_value_rowids(words, tf.boolean_mask(rows, begins), tokens.nrows())


class _SeededWordSelector(tf_text.RandomItemSelector):
    """Selects a share of each row's words, never one with a special token; the draws depend only on the seed."""

    def __init__(self, rate: float, special: list[int], seed: Any) -> None:
        super().__init__(max_selections_per_batch=1 << 30, selection_rate=rate, unselectable_ids=special)
        self._rate, self._seed, self._ids = rate, seed, tf.constant(special)

    def get_selection_mask(self, input_ids: Any, axis: int) -> Any:
        """Whether each piece is selected, bool in the shape of `input_ids`."""
        words, rows = input_ids.values, input_ids.value_rowids()
        is_special = tf.reduce_any(words.flat_values[:, None] == tf.cast(self._ids, words.dtype), 1)
        special = tf.math.unsorted_segment_sum(tf.cast(is_special, tf.int32), words.value_rowids(), words.nrows())
        selectable = special == 0
        draws = tf.where(selectable, tf.random.stateless_uniform([words.nrows()], self._seed), 2.0)
        order = tf.argsort(tf.cast(rows, tf.float64) * 4 + tf.cast(draws, tf.float64), stable=True)
        count = tf.math.unsorted_segment_sum(tf.cast(selectable, tf.float32), rows, input_ids.nrows())
        quota = tf.cast(tf.math.ceil(count * self._rate), tf.int64)
        # `order` sorts within rows only, so position i belongs to the same row before and after sorting.
        rank = tf.range(words.nrows()) - tf.gather(input_ids.row_starts(), rows)
        chosen = tf.scatter_nd(order[:, None], rank < tf.gather(quota, rows), tf.shape(order))
        flat = tf.gather(chosen, words.value_rowids())
        return input_ids.with_flat_values(flat)


class _SeededMaskValues(tf_text.MaskValuesChooser):
    """tf-text's MaskValuesChooser with draws that depend only on the seed."""

    def __init__(self, vocab_size: int, mask: int, seed: Any) -> None:
        super().__init__(vocab_size, mask)
        self._seed = seed

    def get_mask_values(self, masked_lm_ids: Any) -> Any:
        """The replacements of the chosen pieces, in the shape of `masked_lm_ids`."""
        flat = masked_lm_ids.flat_values
        draws = tf.random.stateless_uniform(tf.shape(flat), self._seed)
        pieces = tf.random.stateless_uniform(tf.shape(flat), self._seed + [0, 1], 0, self.vocab_size, flat.dtype)
        values = tf.where(draws < 0.8, tf.cast(self.mask_token, flat.dtype), tf.where(draws < 0.9, pieces, flat))
        return masked_lm_ids.with_flat_values(values)
