"""Compiles a map from characters to strings for tf-text's FastBertNormalizer, which then replaces them in one pass.

The op reads a flatbuffer with a double-array trie in the layout of darts-clone: from the unit at `node`, the byte `b`
leads to `node ^ offset ^ b`. tf-text itself builds such a map for one fixed normalisation only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_DIFFERENT = 0x40000000  # marks a value: an offset into the pool of strings, shifted by 6 bits, plus a length
_LONGEST = 63  # bytes of a string
_ROOT = 256  # the block of the first bytes; the blocks of continuation bytes have 64 places each


def compile_character_map(strings: Mapping[int, str]) -> bytes:
    """The model buffer that replaces each code point by its string and leaves all others as they are.

    Args:
        strings: Code point to replacement, at most 63 bytes of UTF-8.
    """
    pool, values = bytearray(), {}
    for text in dict.fromkeys(strings.values()):
        encoded = text.encode()
        assert len(encoded) <= _LONGEST
        values[text] = _DIFFERENT | len(pool) << 6 | len(encoded)
        pool += encoded
    tree: dict[int, Any] = {}
    for code, text in strings.items():
        if code:  # NUL has a field of its own
            *path, last = chr(code).encode()
            node = tree
            for byte in path:
                node = node.setdefault(byte, {})
            node[last] = values[text]
    zero = values[strings[0]] if 0 in strings else 0
    return _flatbuffer(double_array(tree, list(values.values())), zero, bytes(pool))


def double_array(tree: dict[int, Any], values: list[int]) -> np.ndarray:
    """A trie in the layout of darts-clone. Equal values and equal subtrees are stored once.

    Args:
        tree: Byte to subtree or, for the last byte of a character, to its value.
        values: All values.

    Returns:
        uint32 units.
    """
    slot_of = {value: 2 * _ROOT + place for place, value in enumerate(values)}
    units = [0] * (-(-(2 * _ROOT + len(values)) // 64) * 64)
    for value, slot in slot_of.items():
        units[slot] = 0x80000000 | value
    blocks: dict[tuple[Any, ...], int] = {}

    def unit(node: int, byte: int, child: Any) -> int:
        if isinstance(child, dict):
            return (node ^ block(child) ^ 0x80) << 10 | byte
        return (node ^ slot_of[child]) << 10 | 0x100 | byte

    def block(children: dict[int, Any]) -> int:
        """The first place of 64 for the continuation bytes 0x80 to 0xBF."""
        key = tuple((byte, block(child) if isinstance(child, dict) else -child) for byte, child in children.items())
        if key not in blocks:
            blocks[key] = first = len(units)
            units.extend([0] * 64)
            for byte, child in children.items():
                units[first + byte - 0x80] = unit(first + byte - 0x80, byte, child)
        return blocks[key]

    units[0] = _ROOT << 10
    for byte, child in tree.items():
        units[_ROOT + byte] = unit(_ROOT + byte, byte, child)
    return np.array(units, np.uint32)


def _flatbuffer(units: np.ndarray, zero: int, pool: bytes) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]  # comes with TensorFlow

    builder = flatbuffers.Builder(units.nbytes + len(pool) + 1024)
    trie, strings = builder.CreateNumpyVector(units), builder.CreateByteVector(pool)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, trie, 0)
    builder.PrependInt32Slot(2, zero, 0)
    builder.PrependUOffsetTRelativeSlot(3, strings, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
