"""BytePairRules: what a byte-level BPE tokeniser of Hugging Face does beside its merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tfrec.encoders.tokenization.frame import Frame
from tfrec.errors import InvalidInput

END_OF_TEXT = "<|endoftext|>"

NORMAL_FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@dataclass(frozen=True)
class BytePairRules:
    """The rules beside vocabulary and merges.

    Args:
        frame: The tokens around a text.
        normal_form: Unicode's normal form into which a text is brought first, one of `NORMAL_FORMS`; "" for none.
        prefix_space: bool. Whether a text that does not begin with a space gets one.
        added: Words that are found whole in a text, such as ModernBERT's runs of spaces, and their ids.
    """

    frame: Frame
    normal_form: str = ""
    prefix_space: bool = False
    added: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def gpt(cls, vocabulary: Sequence[str]) -> BytePairRules:
        """GPT-2's rules: <|endoftext|> ends a text, as the pooling "last" needs, and pads it.

        Args:
            vocabulary: Tokens by id.

        Raises:
            InvalidInput: The vocabulary lacks <|endoftext|>.
        """
        return cls(Frame((), (_number(vocabulary, END_OF_TEXT),), _number(vocabulary, END_OF_TEXT)))

    @classmethod
    def roberta(cls, vocabulary: Sequence[str]) -> BytePairRules:
        """RoBERTa's rules for a folder that has only vocab.json and merges.txt. Arguments and errors as in `gpt`."""
        start, end, pad = (_number(vocabulary, token) for token in ("<s>", "</s>", "<pad>"))
        return cls(Frame((start,), (end,), pad))

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return {**asdict(self), "added": dict(self.added)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BytePairRules:
        """The inverse of `to_dict`."""
        return cls(**{**values, "frame": Frame.from_dict(values["frame"])})


def _number(vocabulary: Sequence[str], token: str) -> int:
    if token not in vocabulary:
        raise InvalidInput(f"The vocabulary of {len(vocabulary)} tokens lacks 1, such as {token!r}.")
    return list(vocabulary).index(token)
