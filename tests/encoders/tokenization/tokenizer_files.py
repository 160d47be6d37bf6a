"""Small tokenizer.json files, as Hugging Face's `tokenizers` saves them; its tokens for them are in golden_tokens.json.

Write that file again with `python benchmarks/token_parity.py --golden`.
"""

import json
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden_tokens.json")

CURATED = [
    "Nike™ shoe ½ price", "ＦＵＬＬ width", "naïve café ÅNGSTRÖM", "[SEP] a [MASK] [CLS]", "日本語テキスト and 한국어",
    "a\x00b\x01c\ufffdd\u200be\xadf", "\ue000 x\ue000y", "İSTANBUL Straße ΣΑΣ", "don't hand-made: 1,000.50€", "",
    " \t\r\n\u3000\xa0 ", "ab" * 50, "ab" * 51, "é" * 100, "é" * 101, "กขคง" * 25, "กขคง" * 26, "a\u0301\u0323b",
    "\u166d\u2e43 x\U0001f600", "##ab ##", "</s> <s> ▁ab", "x" * 1_000,
]  # fmt: skip

_BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_CHARACTERS = [
    *range(0x21, 0x7F), *range(0xA1, 0x250), *range(0x300, 0x340), *range(0x3B1, 0x3CA), *range(0x430, 0x460),
    *range(0x5D0, 0x5EB), *range(0x621, 0x64B), *range(0x905, 0x940), *range(0x985, 0x9BA), *range(0xE01, 0xE3B),
    *range(0x10D0, 0x10F1), *range(0x1100, 0x1200), *range(0x1200, 0x1300), *range(0x3041, 0x3100), 0x2122, 0xFF21,
    *range(0x4E00, 0x4E80), *range(0x1F600, 0x1F640),
]  # fmt: skip


def word_pieces() -> list[str]:
    """Single characters at the start and within a word, and a few longer pieces."""
    characters = [chr(code) for code in _CHARACTERS]
    longer = ["ab", "##ab", "##abab", "shoe", "##oe", "the", "don", "##ние", "กข", "##กขค"]
    return [*_BERT_SPECIAL, *characters, *(f"##{character}" for character in characters if character != "ß"), *longer]


def bert_tokenizer(lower: bool = True, accents: bool | None = None) -> dict:
    """The content of a BERT tokenizer.json of transformers 5."""
    pieces = word_pieces()
    around = {name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    single = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(number, name) for number, name in enumerate(_BERT_SPECIAL)],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": accents,
            "lowercase": lower,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": around},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
        },
    }


def added_token(number: int, content: str, special: bool = True) -> dict:
    """An entry of added_tokens."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": special}


TOKENIZERS = {"bert_uncased": bert_tokenizer, "bert_cased": lambda: bert_tokenizer(lower=False)}
"""Name to a function that makes the content of a tokenizer.json."""


def write_tokenizer(folder: Path, content: dict) -> Path:
    """Writes tokenizer.json to an existing folder."""
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder
