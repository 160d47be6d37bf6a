"""Texts on which tokenisers disagree: many scripts, long words, compatibility characters, controls, special tokens."""

import numpy as np

SCRIPTS = {
    "latin": [(0x61, 0x7B), (0x41, 0x5B), (0xC0, 0x250)],
    "vietnamese": [(0x61, 0x7B), (0x1EA0, 0x1EFA)],
    "greek": [(0x386, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x530)],
    "armenian": [(0x531, 0x590)],
    "hebrew": [(0x5B0, 0x5F5)],
    "arabic": [(0x600, 0x700), (0xFE70, 0xFEFD)],
    "devanagari": [(0x900, 0x980)],
    "bengali": [(0x980, 0xA00)],
    "tamil": [(0xB82, 0xBFB)],
    "telugu": [(0xC00, 0xC80)],
    "thai": [(0xE01, 0xE3B), (0xE3F, 0xE5C)],
    "georgian": [(0x10A0, 0x1100), (0x1C90, 0x1CC0)],
    "amharic": [(0x1200, 0x1380)],
    "khmer": [(0x1780, 0x17FA)],
    "japanese": [(0x3041, 0x3100), (0x4E00, 0x5000), (0xFF66, 0xFF9F)],
    "chinese": [(0x4E00, 0x9FFF), (0x20000, 0x20100), (0xF900, 0xFA6E)],
    "korean": [(0xAC00, 0xD7A4), (0x1100, 0x1200)],
    "symbols": [(0x1F300, 0x1F700), (0x2600, 0x27C0), (0x200D, 0x200E), (0xFE0F, 0xFE10)],
    "any": [(0x1, 0xD800), (0xE000, 0x110000)],
}
"""Name to ranges of code points; with "any" also unassigned and private ones."""

_COMPATIBLE = [(0xFB00, 0xFB07), (0xFF01, 0xFF61), (0x2100, 0x2190), (0x2460, 0x2500), (0x3200, 0x33FF), (0xAA, 0xC0)]
_CONTROLS = [*range(0x20), *range(0x7F, 0xA1), 0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), 0x2060,
             0xFEFF, 0xFFFD, 0xE000, 0xF8FF, 0xE0001, 0x10FFFD, 0x3000, 0x1680]  # fmt: skip
_SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<unk>", "<mask>", "<|endoftext|>", "##s", "▁"]
_MARKS = [*range(0x300, 0x370), 0x93C, 0x1AB0, 0x20D0, 0x302A, 0x302E, 0x1D165]


def hostile_texts(script: str, number: int, seed: int = 0) -> list[str]:
    """Random texts of a script, a share of them with each kind of difficulty.

    Args:
        script: One of `SCRIPTS`.
        number: How many texts.
        seed: Seed; with the script it decides the texts.
    """
    rng = np.random.default_rng([seed, list(SCRIPTS).index(script)])
    letters = _codes(SCRIPTS[script])
    return [_text(rng, letters) for _ in range(number)]


def _codes(ranges):
    return np.concatenate([np.arange(start, stop) for start, stop in ranges])


def _word(rng, letters, longest):
    return "".join(map(chr, rng.choice(letters, size=rng.integers(1, longest + 1))))


def _text(rng, letters):
    parts = [_word(rng, letters, 8) for _ in range(rng.integers(0, 7))]
    extras = {
        "long": lambda: _word(rng, letters[:40], 150),
        "compatible": lambda: _word(rng, _codes(_COMPATIBLE), 4),
        "control": lambda: chr(rng.choice(_CONTROLS)) + _word(rng, letters, 3) + chr(rng.choice(_CONTROLS)),
        "special": lambda: str(rng.choice(_SPECIAL)),
        "accents": lambda: _word(rng, letters, 2) + _word(rng, np.array(_MARKS), 3),
        "shop": lambda: str(
            rng.choice(["Nike™", "(2 x 500ml)", "don't", "1,000.50€", "hand-made", "½''", "C++", "İSTANBUL"])
        ),
    }
    for kind in rng.choice(list(extras), size=rng.integers(0, 3)):
        parts.insert(rng.integers(0, len(parts) + 1), extras[kind]())
    return str(rng.choice([" ", " ", " ", "", "  ", "\n"])).join(parts)
