"""What a person would want to know about what was read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """One line for the console.

    Attributes:
        text: What was found and, where there is a choice, the option that changes it.
        warning: Whether it may be wrong. `data.strict` refuses warnings; the rest only says what was done.
    """

    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"Warning: {self.text}" if self.warning else self.text
