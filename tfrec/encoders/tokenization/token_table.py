"""A catalogue's texts as tokens, made once and read many times."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

if TYPE_CHECKING:
    from tfrec.encoders.text_encoder import TextEncoder

_AT_ONCE = 4096


class TokenTable:
    """Token ids of texts.

    Args:
        encoder: Whose preprocessor makes the tokens.
        texts: Any strings.
        seq_length: Tokens a text is cut to.

    Attributes:
        words: int32 `[len(texts), longest]`, padded on the right.
        lengths: int64 `[len(texts)]`, tokens of each text, [CLS] and [SEP] among them.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], seq_length: int) -> None:
        packed = [encoder.inputs(list(texts[i : i + _AT_ONCE]), seq_length) for i in range(0, len(texts), _AT_ONCE)]
        masks = [part[INPUT_MASK].numpy() for part in packed]
        empty = np.zeros((0, seq_length), np.int32)
        self.lengths = np.concatenate([empty, *masks]).sum(axis=1).astype(np.int64)
        words = np.concatenate([empty, *(part[INPUT_WORD_IDS].numpy() for part in packed)])
        self.words = words[:, : self.lengths.max(initial=1)]

    def shortened(self, rows: np.ndarray, share: float, rng: np.random.Generator) -> TokenTable:
        """A table of the texts `rows`, in their order, of which half lack a random share of their tokens; the first and
        the last of a text ([CLS] and [SEP]) always stay."""
        found = copy(self)
        words, lengths = self.words[rows], self.lengths[rows]
        place = np.arange(words.shape[1])
        ends = (place == 0) | (place == lengths[:, None] - 1)
        whole = rng.random(len(rows)) < 0.5
        kept = (place < lengths[:, None]) & (ends | whole[:, None] | (rng.random(words.shape) >= share))
        order = np.argsort(~kept, axis=1, kind="stable")
        found.lengths = kept.sum(axis=1)
        left = place < found.lengths[:, None]
        found.words = np.where(left, np.take_along_axis(words, order, axis=1), words.dtype.type(0))
        return found

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The encoder's dict for some texts, int32 `[len(rows), longest of them]` each."""
        lengths = self.lengths[rows]
        place = np.arange(lengths.max(initial=1))
        mask = (place < lengths[:, None]).astype(np.int32)
        words = self.words[rows, : len(place)]
        return {INPUT_WORD_IDS: words, INPUT_MASK: mask, INPUT_TYPE_IDS: np.zeros_like(words)}

    def parts(self, rows: np.ndarray, tokens: int) -> list[np.ndarray]:
        """Positions in `rows` in groups of like length: shortest first, each with about `tokens` tokens of padding and
        text, and at least one text.

        Every position is in one group.
        """
        lengths = self.lengths[rows]
        order = np.argsort(lengths, kind="stable")
        found, start = [], 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= tokens:
                stop += 1
            found.append(order[start:stop])
            start = stop
        return found
