"""What an object in another process is to its callers, and how they learn that it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tfrec.errors import TfrecError


class ActorLost(TfrecError):
    """The process of an actor has died."""


class Actor(Protocol):
    """An object in another process."""

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Calls a method of the object. The answer of the call before must have been waited for.

        Args:
            method: Its name.
            arguments: What can be pickled.

        Returns:
            A function that waits for the result, and raises what the method raised, or `ActorLost`.
        """
