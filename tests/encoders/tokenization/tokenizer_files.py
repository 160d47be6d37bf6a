"""Small tokenizer.json files, as Hugging Face's `tokenizers` saves them; its tokens for them are in golden_tokens.json.

Write that file again with `python benchmarks/token_parity.py --golden`.
"""

import base64
import json
import struct
import unicodedata
from itertools import pairwise
from pathlib import Path

from tfrec.encoders.tokenization.byte_pairs import byte_characters
from tfrec.encoders.tokenization.character_map import double_array

GOLDEN = Path(__file__).with_name("golden_tokens.json")

CURATED = [
    "Nike™ shoe ½ price", "ＦＵＬＬ width", "naïve café ÅNGSTRÖM", "[SEP] a [MASK] [CLS]", "日本語テキスト and 한국어",
    "a\x00b\x01c\ufffdd\u200be\xadf", "\ue000 x\ue000y", "İSTANBUL Straße ΣΑΣ", "don't hand-made: 1,000.50€", "",
    " \t\r\n\u3000\xa0 ", "ab" * 50, "ab" * 51, "é" * 100, "é" * 101, "กขคง" * 25, "กขคง" * 26, "a\u0301\u0323b",
    "\u166d\u2e43 x\U0001f600", "##ab ##", "</s> <s> ▁ab", "x" * 1_000,
    "  the            10     1\u2019s\n\n a ||||IP_ADDRESS||||x <|endoftext|>",
    "a\x1c\x1c b=\u0338", "\U00010d4a\u1c89 a\U00016d70 1",
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


_XLMR_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
FOLDED = {
    **{0xFF01 + place: chr(0x21 + place) for place in range(94)},  # full width
    **dict.fromkeys([0x9, 0xA, 0xD, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000], " "),
    **dict.fromkeys([*range(0x1, 0x9), 0xB, 0xC, *range(0xE, 0x20), 0x7F, 0xAD], ""),
    0x2122: "TM",
    0xBD: "1\u20442",
}
"""What the small Unigram tokeniser does to characters, a part of SentencePiece's nmt_nfkc."""


def _charsmap() -> str:
    """FOLDED as SentencePiece compiles it: the size of a double-array trie, the trie, and the replacements."""
    pool, places = bytearray(), {}
    for text in dict.fromkeys(FOLDED.values()):
        places[text] = len(pool)
        pool += text.encode() + b"\0"
    tree: dict = {}
    for code, text in sorted(FOLDED.items()):
        *path, last = chr(code).encode()
        node = tree
        for byte in path:
            node = node.setdefault(byte, {})
        node[last] = places[text]
    units = double_array(tree, list(places.values())).astype("<u4").tobytes()
    return base64.b64encode(struct.pack("<I", len(units)) + units + bytes(pool)).decode()


def unigram_tokenizer() -> dict:
    """The content of an XLM-R tokenizer.json, with few pieces."""
    longer = ["\u2581the", "ab", "\u2581ab", "shoe", "\u2581shoe", "oe", "TM", "กข", "กขค", "ние", "한국", "qqqqqq"]
    characters = [chr(code) for code in _CHARACTERS if code not in (0xBD, 0x2122, 0xFF21)]
    pieces = ["\u2581", *characters, *longer]
    scores = [-12.0 + 0.001 * number for number in range(len(characters) + 1)]
    scores += [-9.0 - 0.01 * number for number in range(len(longer))]
    vocabulary = [[name, 0.0] for name in _XLMR_SPECIAL] + [list(pair) for pair in zip(pieces, scores)]
    vocabulary.append(["<mask>", 0.0])
    around = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (("<s>", 0), ("</s>", 2))}
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "</s>", "type_id": 0}}]  # fmt: skip
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            *(added_token(number, name) for number, name in enumerate(_XLMR_SPECIAL)),
            added_token(len(vocabulary) - 1, "<mask>"),
        ],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": _charsmap()},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": around},
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False},
    }


_BYTES = byte_characters()


_CHUNKS = [
    "  ", "    ", " t", " the", "he", " he", "ab", "abab", " shoe", "oe", "ing", "'s", "100", " 1", "é", "ние", "กข",
    "กขค", "한", "日本", " \u2122", "\n\n", "\x1c\x1c", "\u3000\u3000", "aa", "aaaa", "\U0001f600", "\x00b",
]  # fmt: skip


def byte_pair_merges() -> list[tuple[str, str]]:
    """Merges that make each of a few chunks, from the left, each pair once."""
    merges: dict[tuple[str, str], None] = {}
    for chunk in _CHUNKS:
        symbols = [_BYTES[byte] for byte in chunk.encode()]
        while len(symbols) > 1:
            known = next((pair for pair in merges if pair in set(pairwise(symbols))), (symbols[0], symbols[1]))
            merges[known] = None
            at = list(pairwise(symbols)).index(known)
            symbols[at : at + 2] = ["".join(known)]
    return list(merges)


def gpt_tokenizer() -> dict:
    """The content of a GPT-2 tokenizer.json of transformers 5, with few merges."""
    merges = byte_pair_merges()
    pieces = [*_BYTES, *dict.fromkeys(left + right for left, right in merges)]
    empty = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(len(pieces), "<|endoftext|>")],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", **empty, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": [list(merge) for merge in merges]},
    }  # fmt: skip


def modernbert_tokenizer() -> dict:
    """The content of a ModernBERT tokenizer.json: NFC, runs of spaces and a placeholder as added words, a frame."""
    content = gpt_tokenizer()
    first = len(content["model"]["vocab"])
    words = ["|||IP_ADDRESS|||", *(" " * number for number in range(12, 1, -1))]
    added = [
        {**added_token(first + place, word, special=False), "normalized": True} for place, word in enumerate(words)
    ]
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    added += [added_token(first + len(words) + place, name) for place, name in enumerate(names)]
    ids = {token["content"]: token["id"] for token in added}
    around = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    single = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]  # fmt: skip
    template = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": around}
    return {**content, "added_tokens": added, "normalizer": {"type": "NFC"}, "post_processor": template}


def roberta_tokenizer() -> dict:
    """The content of a RoBERTa tokenizer.json that puts a space before a text."""
    content = gpt_tokenizer()
    content["pre_tokenizer"]["add_prefix_space"] = True
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    first = len(content["model"]["vocab"])
    content["added_tokens"] = [added_token(first + place, name) for place, name in enumerate(names)]
    ends = {"sep": ["</s>", first + 2], "cls": ["<s>", first]}
    return {**content, "post_processor": {"type": "RobertaProcessing", **ends, "trim_offsets": True}}


TOKENIZERS = {
    "bert_uncased": bert_tokenizer,
    "bert_cased": lambda: bert_tokenizer(lower=False),
    "xlm_roberta": unigram_tokenizer,
    "modernbert": modernbert_tokenizer,
    "roberta": roberta_tokenizer,
}
"""Name to a function that makes the content of a tokenizer.json."""


FAMILIES = {
    "xlm-roberta": unigram_tokenizer,
    "mpnet": bert_tokenizer,
    "modernbert": modernbert_tokenizer,
    "nomic_bert": bert_tokenizer,
}
"""Model type to the tokenizer.json that goes with it."""


def write_tokenizer(folder: Path, content: dict) -> Path:
    """Writes tokenizer.json to an existing folder."""
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder


def comparable(name: str, text: str) -> bool:
    """Whether a tokeniser is to give the ids of `tokenizers` for a text, or has one of the documented differences.

    `tokenizers` finds the text of a special token in a Unigram vocabulary, drops a mark after a folded character, and
    keeps SentencePiece's own sign for a space as a word and at the end of a text.
    """
    if name != "xlm_roberta":
        return True
    special = any(token in text for token in [*_XLMR_SPECIAL, "<mask>"])
    marked = any(ord(a) in FOLDED and unicodedata.category(b).startswith("M") for a, b in pairwise(text))
    sign = "\u2581" in text.split() or text.rstrip().endswith("\u2581")
    return not (special or marked or sign or "\0" in text)
