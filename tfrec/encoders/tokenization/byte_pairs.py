"""GptPreprocessor: GPT-2's byte-level BPE in plain TensorFlow ops, so that a served GPT encoder takes raw strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.preprocessor import DEFAULT_LENGTH, Preprocessor
from tfrec.errors import InvalidInput

END_OF_TEXT = "<|endoftext|>"

# Words are truncated to this many bytes: longer runs without a break are not text, and merging them would be slow.
_WORD_BYTES = 1024

# White space as in Python's regex module; RE2's \s matches only ASCII.
_SPACE = r"\t-\r\x{1c}-\x{1f} \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
# GPT-2's pattern uses the look-ahead `\s+(?!\S)`, which RE2 does not support. Instead, before a word that follows
# several spaces, a byte that never occurs in UTF-8 is inserted in front of the last space, and the text is split there.
_SPACES_BEFORE_WORD = f"([{_SPACE}]+)([{_SPACE}][^{_SPACE}])"
_MARK = b"\xff"
_WORD = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^{_SPACE}\p{{L}}\p{{N}}]+|[{_SPACE}]+"


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


class GptPreprocessor(Preprocessor):
    """A byte-level BPE tokeniser with packing, which can be saved as a TF-Hub text preprocessor.

    The tokens are those of GPT-2's tokeniser (Radford et al., 2019), followed by <|endoftext|>. Words are truncated to
    1,024 bytes, and NUL becomes U+FFFD.

    Args:
        vocabulary: Tokens by id, as in GPT-2's vocab.json, including <|endoftext|>.
        merges: Pairs of tokens to merge, in the order in which they were learnt.
        seq_length: int. Length of the tensors that `__call__` returns.

    Call arguments:
        texts: string `[batch]`, UTF-8. An empty text becomes <|endoftext|> alone.

    Returns:
        A dict of `input_word_ids`, `input_mask`, `input_type_ids`, int32 `[batch, seq_length]`, padded on the right
        with <|endoftext|> and mask 0.

    Raises:
        InvalidInput: The vocabulary lacks a byte, <|endoftext|>, or a part or the result of a merge.

    Example:
        >>> tokens = [*byte_characters(), "ab", "<|endoftext|>"]
        >>> preprocess = GptPreprocessor(tokens, [("a", "b")], seq_length=5)
        >>> preprocess(tf.constant(["abc"]))["input_word_ids"].numpy()
        array([[256,  99, 257, 257, 257]], dtype=int32)
    """

    def __init__(
        self, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]], seq_length: int = DEFAULT_LENGTH
    ) -> None:
        ids = {token: number for number, token in enumerate(vocabulary)}
        merged = [(left, right, left + right) for left, right in merges]
        needed = [END_OF_TEXT, *byte_characters(), *(token for merge in merged for token in merge)]
        missing = [token for token in needed if token not in ids]
        if missing:
            raise InvalidInput(f"The vocabulary of {len(ids)} tokens lacks {len(missing)}, such as {missing[0]!r}.")
        end = ids[END_OF_TEXT]
        super().__init__(Frame((), (end,), end), seq_length, "gpt_preprocessor")
        self._size = len(vocabulary)
        self._byte_ids = tf.constant([ids[character] for character in byte_characters()], tf.int32)
        self._results = tf.constant([ids[both] for _, _, both in merged] or [0], tf.int32)
        keys = np.array([ids[left] * self._size + ids[right] for left, right, _ in merged] or [-1], np.int64)
        ranks = np.arange(len(keys), dtype=np.int64)
        self._ranks = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ranks), default_value=-1)

    def _tokens(self, texts: Any) -> Any:
        clean = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        clean = tf.strings.regex_replace(clean, r"\x00", "\ufffd")  # regex_split would stop at a NUL
        marked = tf.strings.regex_replace(clean, _SPACES_BEFORE_WORD, rb"\1" + _MARK + rb"\2")
        words = tf_text.regex_split(marked, _WORD, _WORD)
        words = tf.ragged.boolean_mask(words, words != _MARK)
        distinct, place = tf.unique(words.flat_values)
        tokens = self._merge(tf.strings.substr(distinct, 0, _WORD_BYTES))
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
