"""Splits texts into words as GPT-2 and `tokenizers`' ByteLevel do, with RE2, which TensorFlow's ops use."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from tfrec.encoders.tokenization.unicode_8 import WHITE_SPACE, character_class

# Letters and numbers of Unicode 17 that RE2 does not know.
_LETTERS = """
    1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 11380-11389 1138B 1138E 11390-113B5
    113B7 113D1 113D3 11BC0-11BE0 13460-143FA 16100-1611D 16D40-16D6C 18CFF 1E5D0-1E5ED 1E5F0 2EBF0-2EE5D
"""
_NUMBERS = "10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA"


_SPACE = character_class(WHITE_SPACE)  # RE2's \s matches only ASCII
_LETTER, _NUMBER = rf"\p{{L}}{character_class(_LETTERS)}", rf"\p{{N}}{character_class(_NUMBERS)}"
# GPT-2's pattern uses the look-ahead `\s+(?!\S)`, which RE2 does not support. Instead, before a word that follows
# several spaces, a byte that never occurs in UTF-8 is inserted in front of the last space, and the text is split there.
_SPACES_BEFORE_WORD = f"([{_SPACE}]+)([{_SPACE}][^{_SPACE}])"
_MARK = b"\xff"
_WORD = rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{_LETTER}]+| ?[{_NUMBER}]+| ?[^{_SPACE}{_LETTER}{_NUMBER}]+|[{_SPACE}]+"

# tf-text's regex_split ends a text at a NUL. Until words are split, the last code point stands for it, which Unicode
# guarantees to be no character; in the pattern it is of the same kind.
_NUL, _STAND_IN = r"\x00", "\U0010ffff"


def hide_nul(texts: Any) -> Any:
    """string `[n]` with U+10FFFF for NUL."""
    return tf.strings.regex_replace(texts, _NUL, _STAND_IN)


def show_nul(words: Any) -> Any:
    """The inverse of `hide_nul`."""
    return tf.strings.regex_replace(words, _STAND_IN, "\x00")


def split_words(texts: Any) -> Any:
    """Splits string `[n]`, of `hide_nul` → ragged string `[n, (words)]`; together they are the text.

    Example:
        >>> print(split_words(tf.constant(["it's   a2"])).to_list())
        [[b'it', b"'s", b'  ', b' a', b'2']]
    """
    marked = tf.strings.regex_replace(texts, _SPACES_BEFORE_WORD, rb"\1" + _MARK + rb"\2")
    words = tf_text.regex_split(marked, _WORD, _WORD)
    return tf.ragged.boolean_mask(words, words != _MARK)
