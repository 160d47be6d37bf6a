"""Texts with random words dropped, used as data augmentation."""

from __future__ import annotations

import numpy as np


def shorter_texts(texts: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """Drops random words from each text, but keeps at least one.

    Args:
        texts: Any strings; words are separated by white space.
        share: float in [0, 1). Probability that a word is dropped.
        rng: Random generator.

    Example:
        >>> shorter_texts(["one two three four", "", "word"], 0.5, np.random.default_rng(3))
        ['three four', '', 'word']
    """
    shortened = []
    for text in texts:
        words = text.split()
        chances = rng.random(len(words))
        kept = [word for word, chance in zip(words, chances, strict=True) if chance >= share]
        shortened.append(" ".join(kept or ([words[int(chances.argmax())]] if words else [])))
    return shortened
