"""Frame: the special tokens around a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    """The tokens around a text.

    Args:
        start: Ids before the first segment.
        end: Ids after each segment.
        pad: Id of padding.
    """

    start: tuple[int, ...]
    end: tuple[int, ...]
    pad: int

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON and for hashing."""
        return asdict(self)

    def renumbered(self, places: Mapping[int, int]) -> Frame:
        """The frame after each id became another.

        Args:
            places: Old id to new id.

        Example:
            >>> Frame((2,), (3,), 0).renumbered({0: 0, 2: 1, 3: 2})
            Frame(start=(1,), end=(2,), pad=0)
        """
        start, end = (tuple(places[number] for number in ids) for ids in (self.start, self.end))
        return Frame(start, end, places[self.pad])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Frame:
        """The inverse of `to_dict`, also after JSON has made lists of the tuples."""
        return cls(tuple(values["start"]), tuple(values["end"]), values["pad"])
