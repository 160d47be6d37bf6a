"""The tokeniser of an encoder as a file that libraries outside TensorFlow read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfrec.encoders.folder_layout import VOCABULARY
from tfrec.encoders.tokenization.tokenizer_json import FILE
from tfrec.encoders.tokenization.vocabulary import WordPieces, vocabulary_from_dict
from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
from tfrec.files import read_json, write_json


def write_tokenizer(preprocessor: Path, folder: Path) -> str | None:
    """Writes the tokeniser beside the programs of a device.

    A WordPiece tokeniser becomes a tokenizer.json, the form of Hugging Face's `tokenizers`. Any other becomes
    vocabulary.json, as it is in an encoder folder.

    Args:
        preprocessor: The preprocessor of an encoder folder.
        folder: Where to write.

    Returns:
        The name of the file; None for an encoder without tables, as a pair of TF-Hub handles.
    """
    source = preprocessor.parent / VOCABULARY
    if not source.is_file():
        return None
    about = read_json(source)
    vocabulary = vocabulary_from_dict(about)
    if isinstance(vocabulary, WordPieces) and vocabulary.rules and not vocabulary.rules.drop_unknown:
        write_json(folder / FILE, tokenizer_json(vocabulary.vocabulary, vocabulary.rules))
        return FILE
    write_json(folder / VOCABULARY, about)
    return VOCABULARY


def tokenizer_json(pieces: list[str], rules: WordPieceRules) -> dict[str, Any]:
    """A WordPiece tokeniser in the form of `tokenizers`: the inverse of `read_tokenizer_json`."""
    special = [piece for piece in pieces if piece in {*rules.special, rules.unknown}]
    names = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    normalisation = rules.normalisation
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": pieces.index(piece), "content": piece, **names} for piece in special],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": normalisation.clean_text,
            "handle_chinese_chars": normalisation.handle_chinese_chars,
            "strip_accents": normalisation.strip_accents,
            "lowercase": normalisation.lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(pieces, rules),
        "decoder": {"type": "WordPiece", "prefix": rules.continuing_prefix, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": rules.unknown,
            "continuing_subword_prefix": rules.continuing_prefix,
            "max_input_chars_per_word": rules.max_characters,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
        },
    }


def _template(pieces: list[str], rules: WordPieceRules) -> dict[str, Any]:
    """The tokens around a text, and around each of two."""

    def around(ids: tuple[int, ...], segment: int) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": pieces[number], "type_id": segment}} for number in ids]

    def text(name: str, segment: int) -> list[dict[str, Any]]:
        return [{"Sequence": {"id": name, "type_id": segment}}, *around(rules.frame.end, segment)]

    start = around(rules.frame.start, 0)
    used = sorted({*rules.frame.start, *rules.frame.end})
    return {
        "type": "TemplateProcessing",
        "single": [*start, *text("A", 0)],
        "pair": [*start, *text("A", 0), *text("B", 1)],
        "special_tokens": {
            pieces[number]: {"id": pieces[number], "ids": [number], "tokens": [pieces[number]]} for number in used
        },
    }
