"""Reads tokenizer.json, the file in which Hugging Face's `tokenizers` saves a whole tokeniser."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from tfrec.encoders.tokenization.bert_characters import BertNormalisation
from tfrec.encoders.tokenization.byte_pair_rules import END_OF_TEXT, NORMAL_FORMS, BytePairRules
from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.vocabulary import (
    BytePairs,
    UnigramPieces,
    Vocabulary,
    WordPieces,
    token_pairs,
    tokens_by_id,
)
from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
from tfrec.errors import InvalidInput
from tfrec.files import read_json

FILE = "tokenizer.json"
_PADS = ("[PAD]", "<pad>", END_OF_TEXT)
# What byte-level BPE leaves at its defaults.
_PLAIN_BPE: dict[str, tuple[Any, ...]] = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


def read_tokenizer_json(folder: Path) -> Vocabulary:
    """Reads the tokeniser of a Hugging Face folder from its tokenizer.json.

    Raises:
        InvalidInput: The file has a part that the graph cannot express, or its ids are not 0, 1, 2, ….
    """
    path = folder / FILE
    try:
        return _TokenizerFile(path, read_json(path)).vocabulary()
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InvalidInput(f"{path} is not a tokeniser that can be read: {error!r}. Download it again.") from None


class _TokenizerFile:
    """The parsed content of a tokenizer.json."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path, self.content, self.model = path, content, content["model"]
        self.added: list[dict[str, Any]] = content.get("added_tokens") or []

    def vocabulary(self) -> Vocabulary:
        """The vocabulary with its rules."""
        kind = self.model.get("type")
        if kind == "WordPiece":
            return self._word_pieces()
        if kind == "Unigram":
            return self._unigram()
        if kind == "BPE":
            return self._byte_pairs()
        raise self._refuse("model", kind, "WordPiece", "Unigram", "BPE")

    def _word_pieces(self) -> WordPieces:
        tokens = self._tokens(self.model["vocab"])
        self._expect("pre_tokenizer", "BertPreTokenizer")
        values = self._expect("normalizer", "BertNormalizer")
        self._refuse_added_words()
        lower, accents = bool(values["lowercase"]), values.get("strip_accents")
        normalisation = BertNormalisation(
            bool(values["clean_text"]),
            bool(values["handle_chinese_chars"]),
            lower if accents is None else bool(accents),
            lower,
        )
        rules = WordPieceRules(
            self._frame(tokens),
            normalisation,
            unknown=self.model["unk_token"],
            special=tuple(token["content"] for token in self.added),
            continuing_prefix=self.model["continuing_subword_prefix"],
            max_characters=self.model["max_input_chars_per_word"],
        )
        return WordPieces(tokens, lower, rules)

    def _unigram(self) -> UnigramPieces:
        if self.model.get("byte_fallback"):
            raise self._refuse("model.byte_fallback", True, "false")
        self._refuse_added_words()
        for part in self._parts("pre_tokenizer", "pretokenizers"):
            if part["type"] not in ("WhitespaceSplit", "Metaspace") or part.get("prepend_scheme") in ("first", "never"):
                raise self._refuse("pre_tokenizer", part, "WhitespaceSplit and Metaspace")
        charsmap = ""
        for part in self._parts("normalizer", "normalizers"):
            if part["type"] == "Precompiled":
                charsmap = part["precompiled_charsmap"] or ""
            elif (
                part["type"] != "Replace" or part["pattern"] != {"Regex": " {2,}"} or part["content"] not in (" ", "▁")
            ):
                raise self._refuse("normalizer", part["type"], "Precompiled")
        pieces = [(str(piece), float(score)) for piece, score in self.model["vocab"]]
        names = [piece for piece, _ in pieces]
        added = sorted((token["id"], token["content"]) for token in self.added if token["content"] not in set(names))
        pieces += [(content, 0.0) for _, content in added]
        tokens = [piece for piece, _ in pieces]
        if [number for number, _ in added] != list(range(len(names), len(tokens))) or len(set(tokens)) < len(tokens):
            raise InvalidInput(f"{self.path} does not number its tokens 0, 1, 2, …. Download it again.")
        special = tuple(token["content"] for token in self.added)
        return UnigramPieces(pieces, int(self.model["unk_id"]), special, charsmap, self._frame(tokens))

    def _byte_pairs(self) -> BytePairs:
        for name, plain in _PLAIN_BPE.items():
            if self.model.get(name) not in plain:
                raise self._refuse(f"model.{name}", self.model[name], *map(repr, plain))
        words = self._only("pre_tokenizer", "pretokenizers", "ByteLevel")
        if words is None or not words.get("use_regex", True):
            raise self._refuse("pre_tokenizer", self.content.get("pre_tokenizer"), "ByteLevel with use_regex")
        normaliser = self._only("normalizer", "normalizers", *NORMAL_FORMS)
        form: str = normaliser["type"] if normaliser else ""
        tokens = self._tokens(self.model["vocab"])
        rules = BytePairRules(self._frame(tokens), form, bool(words["add_prefix_space"]), self._added_words(form))
        return BytePairs(tokens, token_pairs(self.model["merges"], self.path), rules)

    def _added_words(self, form: Any) -> dict[str, int]:
        """The added words that are found in a text, and their ids."""
        words = [token for token in self.added if not token["special"]]
        for token in words:
            for option in ("single_word", "lstrip", "rstrip"):
                if token[option]:
                    raise self._refuse(f"added_tokens.{option}", token["content"], "false")
            if form and not (token["normalized"] and unicodedata.is_normalized(form, token["content"])):
                raise self._refuse("added_tokens.normalized", token["content"], f"words in the form {form}")
        return {token["content"]: token["id"] for token in words}

    def _parts(self, part: str, several: str) -> list[dict[str, Any]]:
        """The parts of a Sequence, or the only part."""
        values = self.content.get(part)
        parts: list[dict[str, Any]] = [] if values is None else values.get(several, [values])
        return parts

    def _only(self, part: str, several: str, *kinds: str) -> dict[str, Any] | None:
        """The only part, of one of the kinds; None where there is none."""
        parts = self._parts(part, several)
        if len(parts) > 1 or any(values["type"] not in kinds for values in parts):
            raise self._refuse(part, [values["type"] for values in parts], *kinds)
        return parts[0] if parts else None

    def _tokens(self, ids: dict[str, int]) -> list[str]:
        """All tokens by id, with those that were added to the model."""
        return tokens_by_id({**ids, **{token["content"]: token["id"] for token in self.added}}, self.path)

    def _expect(self, part: str, *kinds: str) -> dict[str, Any]:
        values: dict[str, Any] = self.content.get(part) or {"type": None}
        if values["type"] not in kinds:
            raise self._refuse(part, values["type"], *kinds)
        return values

    def _refuse_added_words(self) -> None:
        words = [token["content"] for token in self.added if not token.get("special")]
        if words:
            raise self._refuse("added_tokens", words[0], "special tokens only")

    def _refuse(self, part: str, received: Any, *expected: str) -> InvalidInput:
        return InvalidInput(
            f"{self.path}: expected {part} {' or '.join(expected)}; received {received!r}, which cannot be "
            "expressed in the graph. Use another encoder, or a pair of TF-Hub handles."
        )

    def _frame(self, tokens: list[str]) -> Frame:
        """The tokens that the post-processor puts around a text, and the padding."""
        start, end = self._around(self.content.get("post_processor") or {"type": None}, tokens)
        padding = self.content.get("padding") or {}
        pads = [tokens.index(pad) for pad in _PADS if pad in tokens]
        return Frame(start, end, int(padding.get("pad_id", pads[0] if pads else 0)))

    def _around(self, values: dict[str, Any], tokens: list[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        kind = values["type"]
        if kind in (None, "ByteLevel"):
            return (), ()
        if kind == "Sequence":
            parts = [self._around(part, tokens) for part in values["processors"]]
            return tuple(i for start, _ in parts for i in start), tuple(i for _, end in parts for i in end)
        if kind in ("BertProcessing", "RobertaProcessing"):
            return (int(values["cls"][1]),), (int(values["sep"][1]),)
        if kind != "TemplateProcessing":
            raise self._refuse("post_processor", kind, "TemplateProcessing", "BertProcessing", "RobertaProcessing")
        template = [next(iter(piece.items())) for piece in values["single"]]
        place = [name for name, _ in template].index("Sequence")
        ids = [values["special_tokens"].get(piece["id"], {}).get("ids", []) for _, piece in template]
        start, end = ids[:place], ids[place + 1 :]
        return tuple(i for part in start for i in part), tuple(i for part in end for i in part)
