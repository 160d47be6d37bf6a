"""`vocabulary`: only the pieces that the corpus needs, and pieces to fall back on for new texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfrec.encoders.compression.student import Lesson, Student, tokenise
from tfrec.encoders.tokenization.vocabulary import WordPieces
from tfrec.encoders.tokenization.word_piece_rules import SPECIAL_TOKENS
from tfrec.encoders.transformers.build import build_backbone
from tfrec.errors import InvalidInput

COMMON = 8000
"""Pieces kept from the start of the vocabulary, where the language's commonest stand. Nobody searched the number."""


def trim_vocabulary(student: Student, lesson: Lesson) -> Student:
    """Leaves out the pieces that neither the texts nor the language's commonest words need.

    Every letter stays, at the start of a word and within one, so that no word that could be spelt becomes unknown.

    Args:
        student: The student, with a WordPiece vocabulary.
        lesson: Texts, whose pieces all stay.

    Raises:
        InvalidInput: The vocabulary is not WordPiece.
    """
    vocabulary = student.vocabulary
    if not isinstance(vocabulary, WordPieces):
        raise InvalidInput(
            f"vocabulary works for WordPiece only; this encoder has {type(vocabulary).__name__}. Leave it out."
        )
    ids, _ = tokenise(student.preprocessor, lesson.texts, student.config.max_positions)
    kept = pieces_to_keep(vocabulary.vocabulary, np.concatenate([ids, vocabulary.special_ids]))
    config = replace(student.config, vocab_size=len(kept))
    model = build_backbone(config)
    table = student.model.get_layer("embeddings").word.weights[0]
    model.set_weights([w.numpy()[kept] if w is table else w.numpy() for w in student.model.weights])
    return Student(config, vocabulary.subset(kept.tolist()), model)


def pieces_to_keep(pieces: list[str], used: np.ndarray) -> np.ndarray:
    """The ids that stay, ascending: those in use, special tokens, letters, and the commonest.

    Args:
        pieces: The vocabulary.
        used: int `[n]`, ids in the texts; an id may be repeated.

    Example:
        >>> pieces_to_keep(["[PAD]", "a", "##b", "shoe", "##ing"], np.array([3]))[:4].tolist()
        [0, 1, 2, 3]
    """
    keep = np.zeros(len(pieces), bool)
    keep[used] = True
    words = [place for place, piece in enumerate(pieces) if not (piece.startswith("[") and piece.endswith("]"))]
    keep[words[:COMMON]] = True
    for place, piece in enumerate(pieces):
        keep[place] |= piece in SPECIAL_TOKENS or len(piece.removeprefix("##")) == 1
    return np.flatnonzero(keep)
