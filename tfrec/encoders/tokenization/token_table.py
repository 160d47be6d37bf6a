"""TokenTable: the token ids of a catalogue's texts, computed once and used many times."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

if TYPE_CHECKING:
    from tfrec.encoders.text_encoder import TextEncoder

_AT_ONCE = 4096  # texts tokenised at a time


class TokenTable:
    """The token ids of texts.

    Args:
        encoder: The encoder whose preprocessor tokenises the texts.
        texts: The texts.
        seq_length: int. Maximum number of tokens per text; longer texts are truncated.

    Attributes:
        words: int32 `[len(texts), longest]`, token ids, padded on the right.
        lengths: int64 `[len(texts)]`, number of tokens of each text, including [CLS] and [SEP].
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], seq_length: int) -> None:
        packed = [encoder.inputs(list(texts[i : i + _AT_ONCE]), seq_length) for i in range(0, len(texts), _AT_ONCE)]
        masks = [part[INPUT_MASK].numpy() for part in packed]
        empty = np.zeros((0, seq_length), np.int32)
        self.lengths = np.concatenate([empty, *masks]).sum(axis=1).astype(np.int64)
        words = np.concatenate([empty, *(part[INPUT_WORD_IDS].numpy() for part in packed)])
        self.words = words[:, : self.lengths.max(initial=1)]

    def shortened(self, rows: np.ndarray, share: float, rng: np.random.Generator) -> TokenTable:
        """A table of the texts `rows`, half of them with tokens dropped at random.

        The first and the last token of a text ([CLS] and [SEP]) are always kept.

        Args:
            rows: int `[n]`.
            share: float. Probability of dropping each token of a shortened text.
            rng: Random generator.
        """
        table = copy(self)
        words, lengths = self.words[rows], self.lengths[rows]
        place = np.arange(words.shape[1])
        ends = (place == 0) | (place == lengths[:, None] - 1)
        whole = rng.random(len(rows)) < 0.5
        kept = (place < lengths[:, None]) & (ends | whole[:, None] | (rng.random(words.shape) >= share))
        order = np.argsort(~kept, axis=1, kind="stable")
        table.lengths = kept.sum(axis=1)
        real = place < table.lengths[:, None]
        table.words = np.where(real, np.take_along_axis(words, order, axis=1), words.dtype.type(0))
        return table

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The encoder's inputs for the texts `rows`, int32 `[len(rows), length of the longest]` each."""
        lengths = self.lengths[rows]
        place = np.arange(lengths.max(initial=1))
        mask = (place < lengths[:, None]).astype(np.int32)
        words = self.words[rows, : len(place)]
        return {INPUT_WORD_IDS: words, INPUT_MASK: mask, INPUT_TYPE_IDS: np.zeros_like(words)}

    def parts(self, rows: np.ndarray, tokens: int) -> list[np.ndarray]:
        """Partitions the texts `rows` into parts of similar length, shortest first.

        Args:
            rows: int `[n]`.
            tokens: int. Maximum number of tokens per part, including padding; a part has at least one text.

        Returns:
            Positions in `rows`, one array per part.
        """
        lengths = self.lengths[rows]
        order = np.argsort(lengths, kind="stable")
        parts, start = [], 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= tokens:
                stop += 1
            parts.append(order[start:stop])
            start = stop
        return parts
