"""Texts with words left out: versions of the catalogue to train on."""

from __future__ import annotations

import numpy as np


def shorter_texts(texts: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """Texts that lack a random share of their words; of each at least one word is left.

    Args:
        texts: Any strings; words are what white space parts.
        share: float in [0, 1). The chance of each word to be left out.
        rng: Where the chances come from.

    Example:
        >>> shorter_texts(["one two three four", "", "word"], 0.5, np.random.default_rng(3))
        ['three four', '', 'word']
    """
    found = []
    for text in texts:
        words = text.split()
        chances = rng.random(len(words))
        left = [word for word, chance in zip(words, chances, strict=True) if chance >= share]
        found.append(" ".join(left or ([words[int(chances.argmax())]] if words else [])))
    return found
