"""Writes a Unigram vocabulary as a SentencePiece model, which tf-text's op reads."""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence

_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_UNIGRAM = 1


def sentencepiece_model(
    pieces: Sequence[tuple[str, float]], unknown: int, special: Container[str], charsmap: bytes
) -> bytes:
    """The serialised ModelProto of sentencepiece_model.proto.

    Args:
        pieces: Pieces and their log-probabilities by id.
        unknown: Id of the unknown piece.
        special: Pieces that are never found in a text.
        charsmap: The compiled normalisation, as in tokenizer.json's Precompiled; may be empty.
    """
    model = bytearray()
    for number, (piece, score) in enumerate(pieces):
        kind = _UNKNOWN if number == unknown else _CONTROL if piece in special else _NORMAL
        model += _bytes(1, _bytes(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, kind))
    none = (1 << 64) - 1  # −1: the frame is added when packing
    ids = b"".join(_number(field, value) for field, value in ((40, unknown), (41, none), (42, none), (43, none)))
    model += _bytes(2, _number(3, _UNIGRAM) + _number(4, len(pieces)) + ids)
    options = b"".join(_number(field, 1) for field in (3, 4, 5))  # dummy prefix, no extra white space, escaped
    model += _bytes(3, _bytes(2, charsmap) + options)
    return bytes(model)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
