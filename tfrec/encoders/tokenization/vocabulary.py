"""Vocabularies from Hugging Face folders: word pieces (BERT) and byte pairs (GPT-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput
from tfrec.files import read_json


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary.

    Args:
        vocabulary: Word pieces by id.
        lower_case: Whether to lower-case texts and strip accents.
    """

    vocabulary: list[str]
    lower_case: bool

    def __len__(self) -> int:
        return len(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return {"lower_case": self.lower_case, "vocabulary": self.vocabulary}

    def preprocessor(self, seq_length: int) -> Any:
        """A `BertPreprocessor` whose `__call__` returns tensors of length `seq_length`."""
        from tfrec.encoders.tokenization.bert_preprocessor import BertPreprocessor

        return BertPreprocessor(self.vocabulary, self.lower_case, seq_length)


@dataclass(frozen=True)
class BytePairs:
    """A byte-level BPE vocabulary.

    Args:
        vocabulary: Tokens by id, as in GPT-2's files.
        merges: Pairs of tokens to merge, in the order in which they were learnt.
    """

    vocabulary: list[str]
    merges: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return {"merges": self.merges, "vocabulary": self.vocabulary}

    def preprocessor(self, seq_length: int) -> Any:
        """A `GptPreprocessor` whose `__call__` returns tensors of length `seq_length`."""
        from tfrec.encoders.tokenization.byte_pairs import GptPreprocessor

        return GptPreprocessor(self.vocabulary, self.merges, seq_length)


def read_word_pieces(folder: Path) -> WordPieces:
    """Reads vocab.txt, and tokenizer_config.json if there is one.

    Raises:
        InvalidInput: The file is not UTF-8, or strip_accents differs from do_lower_case.
    """
    lines = _text(folder / "vocab.txt").rstrip("\n").split("\n")
    return WordPieces([line.rstrip("\r") for line in lines], _lower_case(folder))


def read_byte_pairs(folder: Path) -> BytePairs:
    """Reads vocab.json and merges.txt, or tokenizer.json if these are missing.

    Raises:
        InvalidInput: The files are missing, or the ids are not 0, 1, 2, ….
    """
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        ids = read_json(folder / "vocab.json")
        lines: Sequence[Any] = _text(folder / "merges.txt").split("\n")
        pairs = [line.split(" ") for line in lines if line.strip() and not line.startswith("#version")]
    elif (folder / "tokenizer.json").is_file():
        tokenizer = read_json(folder / "tokenizer.json")
        model = tokenizer.get("model", {}) if isinstance(tokenizer, dict) else {}
        ids = {**model.get("vocab", {}), **{t["content"]: t["id"] for t in tokenizer.get("added_tokens", [])}}
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", [])]
    else:
        raise InvalidInput(f"{folder} has no vocab.json with merges.txt, and no tokenizer.json. Pass the whole folder.")
    tokens = sorted(ids, key=ids.__getitem__) if isinstance(ids, dict) else []
    if not tokens or [ids[token] for token in tokens] != list(range(len(tokens))):
        raise InvalidInput(f"The vocabulary of {folder} does not number its tokens 0, 1, 2, …. Download it again.")
    if any(len(pair) != 2 for pair in pairs):
        raise InvalidInput(f"The merges of {folder} are not all pairs of two tokens. Download them again.")
    return BytePairs(tokens, [(str(left), str(right)) for left, right in pairs])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error}. Download it again.") from None


def _lower_case(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    values = read_json(path) if path.is_file() else {}
    lower = bool(values.get("do_lower_case", True))
    accents = values.get("strip_accents")
    if accents is not None and bool(accents) != lower:
        raise InvalidInput(
            f"{path}: expected strip_accents to be null or equal to do_lower_case ({lower}); received {accents}."
        )
    return lower
