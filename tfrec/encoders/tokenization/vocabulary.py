"""Vocabularies of encoders, and how the files of older Hugging Face folders are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfrec.encoders.tokenization.bert_characters import BertNormalisation
from tfrec.encoders.tokenization.byte_pair_rules import BytePairRules
from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
from tfrec.errors import InvalidInput
from tfrec.files import read_json


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary.

    Args:
        vocabulary: Word pieces by id.
        lower_case: Whether to lower-case texts and strip accents.
        rules: How texts become words, and words pieces. None: the rules of tf-text, as in encoder folders from before
            exact tokens; they differ from Hugging Face's on some texts.
    """

    vocabulary: list[str]
    lower_case: bool
    rules: WordPieceRules | None = None

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def frame(self) -> Frame:
        """The tokens around a text."""
        return (self.rules or WordPieceRules.bert(self.vocabulary)).frame

    @property
    def special_ids(self) -> list[int]:
        """The ids of the frame and of the unknown token, which no subset can do without."""
        unknown = self.vocabulary.index(self.rules.unknown if self.rules else "[UNK]")
        return [*self.frame.start, *self.frame.end, self.frame.pad, unknown]

    def subset(self, kept: Sequence[int]) -> WordPieces:
        """The vocabulary with some of its pieces only.

        Args:
            kept: Ids, among them `special_ids`; the place of an id here is its new id.
        """
        pieces = [self.vocabulary[number] for number in kept]
        if self.rules is None:
            return replace(self, vocabulary=pieces)
        frame = self.frame.renumbered({old: new for new, old in enumerate(kept)})
        return replace(self, vocabulary=pieces, rules=replace(self.rules, frame=frame))

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        about: dict[str, Any] = {"lower_case": self.lower_case, "vocabulary": self.vocabulary}
        return about if self.rules is None else {**about, "rules": self.rules.to_dict()}

    def preprocessor(self, seq_length: int) -> Any:
        """A preprocessor whose `__call__` returns tensors of length `seq_length`."""
        if self.rules is None:
            from tfrec.encoders.tokenization.bert_preprocessor import BertPreprocessor

            return BertPreprocessor(self.vocabulary, self.lower_case, seq_length)
        from tfrec.encoders.tokenization.word_pieces import WordPiecePreprocessor

        return WordPiecePreprocessor(self.vocabulary, self.rules, seq_length)


@dataclass(frozen=True)
class BytePairs:
    """A byte-level BPE vocabulary.

    Args:
        vocabulary: Tokens by id, as in GPT-2's files.
        merges: Pairs of tokens to merge, in the order in which they were learnt.
        rules: What happens before and after the merges. None: as for GPT-2.
    """

    vocabulary: list[str]
    merges: list[tuple[str, str]]
    rules: BytePairRules | None = None

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def frame(self) -> Frame:
        """The tokens around a text."""
        return (self.rules or BytePairRules.gpt(self.vocabulary)).frame

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        about: dict[str, Any] = {"merges": self.merges, "vocabulary": self.vocabulary}
        return about if self.rules is None else {**about, "rules": self.rules.to_dict()}

    def preprocessor(self, seq_length: int) -> Any:
        """A `BytePairPreprocessor` whose `__call__` returns tensors of length `seq_length`."""
        from tfrec.encoders.tokenization.byte_pairs import BytePairPreprocessor

        return BytePairPreprocessor(self.vocabulary, self.merges, self.rules, seq_length)


@dataclass(frozen=True)
class UnigramPieces:
    """A Unigram vocabulary of SentencePiece.

    Args:
        pieces: Pieces and their log-probabilities by id.
        unknown: Id of the unknown piece.
        special: Pieces that a text never gives.
        charsmap: SentencePiece's compiled normalisation, in base64; "" for none.
        frame: The tokens around a text.
        drop_unknown: Whether what the pieces cannot spell gives no token at all, as in Model2Vec.
    """

    pieces: list[tuple[str, float]]
    unknown: int
    special: tuple[str, ...]
    charsmap: str
    frame: Frame
    drop_unknown: bool = False

    def __len__(self) -> int:
        return len(self.pieces)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return {"unigram": asdict(self)}

    def preprocessor(self, seq_length: int) -> Any:
        """A `UnigramPreprocessor` whose `__call__` returns tensors of length `seq_length`."""
        from tfrec.encoders.tokenization.unigram import UnigramPreprocessor

        return UnigramPreprocessor(self, seq_length)


Vocabulary = WordPieces | BytePairs | UnigramPieces


def vocabulary_from_dict(about: dict[str, Any]) -> Vocabulary:
    """The vocabulary from the output of `to_dict`, also after it was written as JSON."""
    if "unigram" in about:
        fields = about["unigram"]
        pieces = [(piece, score) for piece, score in fields["pieces"]]
        frame, special = Frame.from_dict(fields["frame"]), tuple(fields["special"])
        return UnigramPieces(**{**fields, "pieces": pieces, "frame": frame, "special": special})
    if "merges" in about:
        merges = [(left, right) for left, right in about["merges"]]
        return BytePairs(
            about["vocabulary"], merges, BytePairRules.from_dict(about["rules"]) if "rules" in about else None
        )
    rules = WordPieceRules.from_dict(about["rules"]) if "rules" in about else None
    return WordPieces(about["vocabulary"], about["lower_case"], rules)


def read_word_pieces(folder: Path) -> WordPieces:
    """Reads vocab.txt, and tokenizer_config.json if there is one.

    Raises:
        InvalidInput: The file is not UTF-8, or lacks a special token.
    """
    lines = _text(folder / "vocab.txt").rstrip("\n").split("\n")
    vocabulary = [line.rstrip("\r") for line in lines]
    path = folder / "tokenizer_config.json"
    values = read_json(path) if path.is_file() else {}
    lower = bool(values.get("do_lower_case", True))
    accents = values.get("strip_accents")
    normalisation = BertNormalisation(
        handle_chinese_chars=bool(values.get("tokenize_chinese_chars", True)),
        strip_accents=lower if accents is None else bool(accents),
        lowercase=lower,
    )
    return WordPieces(vocabulary, lower, WordPieceRules.bert(vocabulary, normalisation))


def read_byte_pairs(folder: Path) -> BytePairs:
    """Reads vocab.json and merges.txt.

    Raises:
        InvalidInput: The files are missing, the ids are not 0, 1, 2, …, or a merge is not a pair.
    """
    missing = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(f"{folder} has no tokenizer.json, and no {missing[0]}. Pass the whole folder.")
    ids = read_json(folder / "vocab.json")
    pairs = [line for line in _text(folder / "merges.txt").split("\n") if not line.startswith("#version")]
    tokens = tokens_by_id(ids if isinstance(ids, dict) else {}, folder)
    return BytePairs(tokens, token_pairs([pair for pair in pairs if pair.strip()], folder))


def tokens_by_id(ids: Mapping[str, int], source: Path) -> list[str]:
    """The tokens in the order of their ids.

    Args:
        ids: Token to id.
        source: Where they come from, for the error message.

    Raises:
        InvalidInput: The ids are not 0, 1, 2, ….
    """
    tokens = sorted(ids, key=ids.__getitem__)
    if not tokens or [ids[token] for token in tokens] != list(range(len(tokens))):
        raise InvalidInput(f"{source} does not number its tokens 0, 1, 2, …. Download it again.")
    return tokens


def token_pairs(merges: Sequence[str | Sequence[str]], source: Path) -> list[tuple[str, str]]:
    """The merges as pairs, whether they are written as "a b" or as ["a", "b"].

    Args:
        merges: The merges.
        source: Where they come from, for the error message.

    Raises:
        InvalidInput: A merge is not of two tokens.
    """
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if any(len(pair) != 2 for pair in pairs):
        raise InvalidInput(f"The merges of {source} are not all pairs of two tokens. Download them again.")
    return [(str(left), str(right)) for left, right in pairs]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error}. Download it again.") from None
