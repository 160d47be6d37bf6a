"""Product quantisation: vectors as one byte for each few of their values, and a code book that all share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

WIDTH: Final = 8
"""Values that one code stands for. With 256 code words a vector takes 1/32 of float32."""

WORDS: Final = 256
"""Code words of a part, at most: what a byte can say."""

_VECTORS_A_WORD = 10
"""Fewest vectors a code word, so that the code book of a small catalogue stays small beside the codes."""

_STEPS, _SAMPLE, _BLOCK = 12, 40, 65536


@dataclass(frozen=True)
class ProductCodes:
    """Vectors in parts, each of them replaced by the nearest word of the part's code book.

    After Jégou, Douze & Schmid 2011 (https://doi.org/10.1109/TPAMI.2010.57).

    Attributes:
        codes: uint8 `[parts, n]`.
        words: int8 `[parts, words, width]`.
        scales: float32 `[parts]`, which the words of a part are multiplied by.
    """

    codes: np.ndarray
    words: np.ndarray
    scales: np.ndarray

    def decode(self) -> np.ndarray:
        """The vectors, float32 `[n, parts · width]`, as near as the codes can say."""
        words = self.words * self.scales[:, None, None].astype(np.float32)
        parts = [book[code] for book, code in zip(words, self.codes, strict=True)]
        return np.concatenate(parts, axis=1).astype(np.float32)


def product_codes(vectors: np.ndarray, *, seed: int = 0) -> ProductCodes:
    """Learns a code book for each part of the vectors, by k-means, and encodes them.

    Args:
        vectors: float32 `[n, dim]`, at least one. The width of a part is the greatest common divisor of `dim` and
            `WIDTH`.
        seed: int. Seed of the samples and of the first words.

    Example:
        >>> codes = product_codes(np.repeat(np.eye(16, dtype=np.float32), 20, axis=0))
        >>> codes.codes.shape, codes.words.shape[::2], float(np.abs(codes.decode()).max())
        ((2, 320), (2, 8), 1.0)
    """
    rng, (total, dim) = np.random.default_rng(seed), vectors.shape
    width = int(np.gcd(dim, WIDTH))
    parts = np.asarray(vectors, np.float32).reshape(total, dim // width, width).transpose(1, 0, 2)
    count = int(2 ** np.floor(np.log2(np.clip(total / _VECTORS_A_WORD, 1, WORDS))))
    books = [_k_means(part, count, rng) for part in parts]
    scales = np.array([max(float(np.abs(book).max()), 1e-12) / 127 for book in books], np.float32)
    words = np.stack([np.round(book / scale).astype(np.int8) for book, scale in zip(books, scales, strict=True)])
    rounded = words * scales[:, None, None]
    codes = np.stack([_nearest(part, book) for part, book in zip(parts, rounded, strict=True)])
    return ProductCodes(codes.astype(np.uint8), words, scales)


def _k_means(part: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` centres of the rows of a part, by Lloyd's algorithm; a centre without rows is drawn anew."""
    sample = part[np.sort(rng.choice(len(part), min(len(part), _SAMPLE * count), replace=False))]
    centres = sample[np.sort(rng.choice(len(sample), count, replace=False))]
    for _ in range(_STEPS):
        nearest = _nearest(sample, centres)
        sizes = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, column, count) for column in sample.T], axis=1)
        drawn = sample[rng.choice(len(sample), count)]
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], drawn).astype(np.float32)
    return centres


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each row, int `[n]`."""
    lengths = np.square(centres).sum(axis=1)
    blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    return np.concatenate([np.argmin(lengths - 2 * block @ centres.T, axis=1) for block in blocks])
