"""What an encoder is compressed to: `static+vocabulary`, `layers=3+int8` and the like, as a list of parts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tfrec.errors import InvalidInput

ORDER = ("vocabulary", "layers", "heads", "ffn", "static", "bfloat16", "int8")
"""The parts, in the order in which they are made: each works on what the one before it gave."""

_COUNTS, _SHARES = ("layers",), ("ffn", "heads")
_CLASHES = (("int8", "bfloat16"), ("static", "layers"), ("static", "ffn"), ("static", "heads"))


@dataclass(frozen=True)
class Part:
    """One step of a compression.

    Args:
        name: One of `ORDER`.
        value: How many layers, or which share of the inner width or of the heads is kept; None for the other parts.
    """

    name: str
    value: float | None = None

    def __str__(self) -> str:
        """The part as `--to` names it."""
        return self.name if self.value is None else f"{self.name}={self.value:g}"


def parse_parts(text: str) -> list[Part]:
    """Reads what `--to` says.

    Args:
        text: Parts joined by `+`: "static", "layers=N", "ffn=SHARE", "heads=SHARE", "vocabulary", "int8", "bfloat16".

    Returns:
        The parts in the order of `ORDER`.

    Raises:
        InvalidInput: A part is unknown, stands there twice, has a wrong value, or does not go with another one.

    Example:
        >>> [part.name for part in parse_parts("int8+layers=3")]
        ['layers', 'int8']
    """
    parts = [_part(word.strip()) for word in text.split("+")]
    names = [part.name for part in parts]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InvalidInput(f"Expected each part once; {text!r} has {repeated[0]} {names.count(repeated[0])} times.")
    for one, other in _CLASHES:
        if one in names and other in names:
            raise InvalidInput(f"{one} and {other} do not go together; received {text!r}. Leave one of them out.")
    return sorted(parts, key=lambda part: ORDER.index(part.name))


def _part(word: str) -> Part:
    name, equals, value = word.partition("=")
    if name not in ORDER:
        close = difflib.get_close_matches(name, ORDER, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise InvalidInput(f"Expected parts among {', '.join(ORDER)}, joined by +; received {word!r}.{hint}")
    if name in _COUNTS:
        if not value.isdigit() or int(value) < 1:
            raise InvalidInput(f"Expected a number of layers, such as layers=3; received {word!r}.")
        return Part(name, int(value))
    if name in _SHARES:
        return Part(name, _share(word, value))
    if equals:
        raise InvalidInput(f"{name} takes no value; received {word!r}. Write just {name}.")
    return Part(name)


def _share(word: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise InvalidInput(
            f"Expected the share to keep, above 0 and below 1, as in {word.partition('=')[0]}=0.5; received {word!r}."
        )
    return share
