"""BytePairPreprocessor: byte-level BPE (GPT-2, RoBERTa, ModernBERT) in ops that TF Serving has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.byte_pair_rules import BytePairRules
from tfrec.encoders.tokenization.byte_pair_words import hide_nul, show_nul, split_words
from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor, valid_utf8
from tfrec.errors import InvalidInput

# Words are truncated to this many bytes: longer runs without a break are not text, and merging them would be slow.
_WORD_BYTES = 1024


def byte_characters() -> list[str]:
    """The character for each byte in GPT-2's vocabulary files: the byte itself if it is printable.

    Example:
        >>> byte_characters()[65], byte_characters()[32]
        ('A', 'Ġ')
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    moved = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


class BytePairPreprocessor(Preprocessor):
    """A byte-level BPE tokeniser with packing, which can be saved as a TF-Hub text preprocessor.

    The tokens are those of Hugging Face's `tokenizers`. Words are truncated to 1,024 bytes. `Preprocessor` describes
    the call and the methods.

    Args:
        vocabulary: Tokens by id, as in GPT-2's vocab.json.
        merges: Pairs of tokens to merge, in the order in which they were learnt.
        rules: What happens before and after the merges. None: as for GPT-2.
        seq_length: int. Length of the tensors that `__call__` returns.

    Raises:
        InvalidInput: The vocabulary lacks a byte, a token of the frame, or a part or the result of a merge.

    Example:
        >>> tokens = [*byte_characters(), "ab", "<|endoftext|>"]
        >>> preprocess = BytePairPreprocessor(tokens, [("a", "b")], seq_length=5)
        >>> preprocess(tf.constant(["abc"]))["input_word_ids"].numpy()
        array([[256,  99, 257, 257, 257]], dtype=int32)
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[tuple[str, str]],
        rules: BytePairRules | None = None,
        seq_length: int = DEFAULT_LENGTH,
    ) -> None:
        rules = rules or BytePairRules.gpt(vocabulary)
        super().__init__(rules.frame, seq_length, "byte_pair_preprocessor")
        self._rules, self._size = rules, len(vocabulary)
        ids = {token: number for number, token in enumerate(vocabulary)}
        merged = [(left, right, left + right) for left, right in merges]
        needed = [*byte_characters(), *(token for merge in merged for token in merge)]
        missing = [token for token in needed if token not in ids]
        if missing:
            raise InvalidInput(f"The vocabulary of {len(ids)} tokens lacks {len(missing)}, such as {missing[0]!r}.")
        self._byte_ids = tf.constant([ids[character] for character in byte_characters()], tf.int32)
        self._results = tf.constant([ids[both] for _, _, both in merged] or [0], tf.int32)
        keys = np.array([ids[left] * self._size + ids[right] for left, right, _ in merged] or [-1], np.int64)
        self._ranks = _table(keys, np.arange(len(keys), dtype=np.int64))
        # The longest first: of several words that begin at one place, RE2 takes the first in the pattern.
        added = sorted(rules.added, key=len, reverse=True)
        self._added_pattern = "|".join(map(re.escape, added))
        self._added_ids = _table(added, np.array([rules.added[word] for word in added], np.int32)) if added else None

    def _tokens(self, texts: Any) -> Any:
        clean = valid_utf8(texts)
        if self._rules.normal_form:
            clean = tf_text.normalize_utf8(clean, self._rules.normal_form)
        clean = hide_nul(clean)
        if self._added_ids is None:
            return self._text_tokens(clean)
        parts = tf_text.regex_split(clean, self._added_pattern, self._added_pattern)
        ids = self._added_ids.lookup(parts.flat_values)
        added = tf.ragged.boolean_mask(ids[:, None], ids[:, None] >= 0)
        tokens = tf.concat([added, self._text_tokens(tf.where(ids < 0, parts.flat_values, ""))], 1)
        return parts.with_flat_values(tokens).merge_dims(1, 2)

    def _text_tokens(self, texts: Any) -> Any:
        """Tokenises string `[n]` without added words → ragged int32 `[n, (tokens)]`."""
        if self._rules.prefix_space:
            texts = tf.strings.regex_replace(texts, "^([^ ])", r" \1")
        words = split_words(texts)
        distinct, place = tf.unique(words.flat_values)
        tokens = self._merge(tf.strings.substr(show_nul(distinct), 0, _WORD_BYTES))
        return words.with_flat_values(tf.gather(tokens, place)).merge_dims(1, 2)

    def _merge(self, words: Any) -> Any:
        """Merges string `[words]` → ragged int32 `[words, (tokens)]`.

        Each step merges, in every word, all occurrences of the pair that was learnt first.
        """
        count = tf.size(words, out_type=tf.int64)
        symbols = tf.strings.bytes_split(words)
        bytes_ = tf.reshape(tf.io.decode_raw(symbols.flat_values, tf.uint8), [-1])
        ids, rows = tf.gather(self._byte_ids, tf.cast(bytes_, tf.int32)), symbols.value_rowids()

        def step(ids: Any, rows: Any, _: Any) -> tuple[Any, Any, Any]:
            keys = tf.cast(ids[:-1], tf.int64) * self._size + tf.cast(ids[1:], tf.int64)
            ranks = tf.where(rows[:-1] == rows[1:], self._ranks.lookup(keys), -1)
            known = tf.where(ranks < 0, tf.int64.max, ranks)
            best = tf.math.unsorted_segment_min(known, rows[:-1], count)
            chosen = (ranks >= 0) & (known == tf.gather(best, rows[:-1]))
            chosen = tf.concat([chosen & _every_second(chosen), [False]], 0)
            result = tf.gather(self._results, tf.maximum(tf.concat([ranks, [-1]], 0), 0))
            kept = ~tf.concat([[False], chosen[:-1]], 0)
            ids = tf.boolean_mask(tf.where(chosen, result, ids), kept)
            return ids, tf.boolean_mask(rows, kept), tf.reduce_any(chosen)

        shapes = (tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([]))
        more = tf.size(ids) > 1
        ids, rows, _ = tf.while_loop(lambda a, b, more: more & (tf.size(a) > 1), step, (ids, rows, more), shapes)
        return tf.RaggedTensor.from_value_rowids(ids, rows, count)


def _table(keys: Any, values: np.ndarray) -> Any:
    """A table from the graph's constants; a key that it lacks has the value −1."""
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=-1)


def _every_second(chosen: Any) -> Any:
    """Keeps the first, third, … of each run of overlapping pairs ("aaa" contains "aa" twice), bool `[pairs]`.

    Positions outside the runs are True.

    Example:
        >>> _every_second(tf.constant([True, True, True, False, True])).numpy()
        array([ True, False,  True,  True,  True])
    """
    place = tf.range(tf.size(chosen))
    run = tf.cumsum(tf.cast(~chosen, tf.int32))
    first = tf.gather(
        tf.math.unsorted_segment_min(tf.where(chosen, place, place.dtype.max), run, tf.size(chosen) + 1), run
    )
    return tf.where(chosen, (place - first) % 2 == 0, True)
