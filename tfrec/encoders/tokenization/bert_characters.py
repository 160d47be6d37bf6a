"""What BERT's normaliser and pre-tokeniser of Hugging Face's `tokenizers` do to each character."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from tfrec.encoders.tokenization.unicode_8 import (
    CJK,
    CONTROL,
    NONSPACING_MARKS,
    PUNCTUATION,
    WHITE_SPACE,
    characters,
)

_BEYOND = 0x20000  # planes without letters that have a lower case or a decomposition, other than CJK


@dataclass(frozen=True)
class BertNormalisation:
    """The options of `tokenizers`' BertNormalizer.

    Args:
        clean_text: bool. Whether to remove control characters.
        handle_chinese_chars: bool. Whether each CJK ideograph is a word.
        strip_accents: bool. Whether to decompose characters (NFD) and remove non-spacing marks.
        lowercase: bool. Whether to write letters in lower case, each for itself.
    """

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return asdict(self)


@cache
def bert_characters(options: BertNormalisation) -> dict[int, str]:
    """Code point to what stands for it when words are then split at spaces; the others stay.

    White space becomes a space, and punctuation (for `handle_chinese_chars` also each ideograph) has spaces around it.

    Example:
        >>> characters_of = bert_characters(BertNormalisation())
        >>> characters_of[ord("É")], characters_of[ord("!")], characters_of[0x200B], ord("a") in characters_of
        ('e', ' ! ', '', False)
    """
    codes = set(range(_BEYOND)) | characters(CONTROL) | characters(CJK) | characters(NONSPACING_MARKS)
    strings = {code: _replacement(chr(code), options) for code in sorted(codes) if not 0xD800 <= code < 0xE000}
    return {code: text for code, text in strings.items() if text != chr(code)}


def _replacement(character: str, options: BertNormalisation) -> str:
    code, text = ord(character), character
    white_space = characters(WHITE_SPACE)
    if options.clean_text and code in characters(CONTROL):
        return ""
    if options.handle_chinese_chars and code in characters(CJK):
        text = f" {character} "
    if options.strip_accents:
        marks = characters(NONSPACING_MARKS)
        text = "".join(part for part in unicodedata.normalize("NFD", text) if ord(part) not in marks)
    if options.lowercase:
        text = "".join(part.lower() for part in text)
    return "".join(_split(part, white_space) for part in text)


def _split(character: str, white_space: frozenset[int]) -> str:
    code = ord(character)
    return " " if code in white_space else f" {character} " if code in characters(PUNCTUATION) else character
