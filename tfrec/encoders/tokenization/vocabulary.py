"""How texts become tokens, as Hugging Face folders say it: word pieces (BERT) or byte pairs (GPT-2)."""

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
        vocabulary: Word pieces, the index is the id.
        lower_case: Whether texts are lower-cased and stripped of accents.
    """

    vocabulary: list[str]
    lower_case: bool

    def __len__(self) -> int:
        return len(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for a hash."""
        return {"lower_case": self.lower_case, "vocabulary": self.vocabulary}

    def preprocessor(self, seq_length: int) -> Any:
        """The BertPreprocessor."""
        from tfrec.encoders.tokenization.bert_preprocessor import BertPreprocessor

        return BertPreprocessor(self.vocabulary, self.lower_case, seq_length)


@dataclass(frozen=True)
class BytePairs:
    """A byte-level BPE vocabulary.

    Args:
        vocabulary: Tokens as GPT-2 writes them, the index is the id.
        merges: Pairs of tokens that become one, the earliest learnt first.
    """

    vocabulary: list[str]
    merges: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for a hash."""
        return {"merges": self.merges, "vocabulary": self.vocabulary}

    def preprocessor(self, seq_length: int) -> Any:
        """The GptPreprocessor."""
        from tfrec.encoders.tokenization.byte_pairs import GptPreprocessor

        return GptPreprocessor(self.vocabulary, self.merges, seq_length)


def read_word_pieces(folder: Path) -> WordPieces:
    """From vocab.txt, and tokenizer_config.json where there is one.

    Raises:
        InvalidInput: It is not UTF-8, or asks for accents to be kept apart from the case.
    """
    lines = _text(folder / "vocab.txt").rstrip("\n").split("\n")
    return WordPieces([line.rstrip("\r") for line in lines], _lower_case(folder))


def read_byte_pairs(folder: Path) -> BytePairs:
    """From vocab.json and merges.txt, or where these are not there from tokenizer.json.

    Raises:
        InvalidInput: Neither is there, or the ids are not 0, 1, 2, ….
    """
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        ids = read_json(folder / "vocab.json")
        lines: Sequence[Any] = _text(folder / "merges.txt").split("\n")
        pairs = [line.split(" ") for line in lines if line.strip() and not line.startswith("#version")]
    elif (folder / "tokenizer.json").is_file():
        read = read_json(folder / "tokenizer.json")
        model = read.get("model", {}) if isinstance(read, dict) else {}
        ids = {**model.get("vocab", {}), **{t["content"]: t["id"] for t in read.get("added_tokens", [])}}
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", [])]
    else:
        raise InvalidInput(f"{folder} has no vocab.json with merges.txt, and no tokenizer.json. Take the whole folder.")
    tokens = sorted(ids, key=ids.__getitem__) if isinstance(ids, dict) else []
    if not tokens or [ids[token] for token in tokens] != list(range(len(tokens))):
        raise InvalidInput(f"The vocabulary of {folder} does not number its tokens 0, 1, 2, …. Fetch it again.")
    if any(len(pair) != 2 for pair in pairs):
        raise InvalidInput(f"The merges of {folder} are not all pairs of two tokens. Fetch them again.")
    return BytePairs(tokens, [(str(left), str(right)) for left, right in pairs])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error}. Fetch it again.") from None


def _lower_case(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    read = read_json(path) if path.is_file() else {}
    lower = bool(read.get("do_lower_case", True))
    accents = read.get("strip_accents")
    if accents is not None and bool(accents) != lower:
        raise InvalidInput(f"{path}: strip_accents has to equal do_lower_case ({lower}) or be null; it is {accents}.")
    return lower
