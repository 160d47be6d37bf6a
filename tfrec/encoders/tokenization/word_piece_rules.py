"""WordPieceRules: how a WordPiece tokeniser of Hugging Face makes words of texts, and pieces of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tfrec.encoders.tokenization.bert_characters import BertNormalisation
from tfrec.encoders.tokenization.frame import Frame
from tfrec.errors import InvalidInput

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK = "[MASK]"


@dataclass(frozen=True)
class WordPieceRules:
    """The rules beside the vocabulary.

    Args:
        frame: The tokens around a text.
        normalisation: What happens to characters.
        unknown: The token of a word that the vocabulary cannot spell, or that is too long.
        special: Tokens that a text never gives.
        continuing_prefix: Prefix of the pieces that continue a word.
        max_characters: int. Longest word, in characters after normalisation.
        drop_unknown: bool. Whether unknown words give no token at all, as in Model2Vec.
    """

    frame: Frame
    normalisation: BertNormalisation = field(default_factory=BertNormalisation)
    unknown: str = "[UNK]"
    special: tuple[str, ...] = (*SPECIAL_TOKENS, MASK)
    continuing_prefix: str = "##"
    max_characters: int = 100
    drop_unknown: bool = False

    @classmethod
    def bert(cls, vocabulary: Sequence[str], normalisation: BertNormalisation | None = None) -> WordPieceRules:
        """The rules of a BERT folder that has only a vocab.txt.

        Args:
            vocabulary: Word pieces by id.
            normalisation: What happens to characters. None: as for uncased checkpoints.

        Raises:
            InvalidInput: The vocabulary lacks a special token.
        """
        missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
        if missing:
            raise InvalidInput(f"Expected {', '.join(SPECIAL_TOKENS)} in the vocabulary; {missing} are missing.")
        pad, _, start, end = (list(vocabulary).index(token) for token in SPECIAL_TOKENS)
        return cls(Frame((start,), (end,), pad), normalisation or BertNormalisation())

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WordPieceRules:
        """The inverse of `to_dict`."""
        fields = {
            **values,
            "frame": Frame.from_dict(values["frame"]),
            "normalisation": BertNormalisation(**values["normalisation"]),
            "special": tuple(values["special"]),
        }
        return cls(**fields)
