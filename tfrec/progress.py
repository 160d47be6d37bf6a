"""Progress on standard error: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None, seconds: float = 10.0) -> Iterator[T]:
    """Yields `items` and reports progress on standard error.

    Args:
        items: The items to iterate over.
        description: Label of the work, e.g. "Encoding items".
        total: Number of items. Defaults to `len(items)` where it is defined.
        seconds: Minimum interval between two lines when standard error is not a terminal. A final line is always
            printed.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description, total=total, console=Console(stderr=True))
        return
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if (now := time.monotonic()) - last >= seconds:
            print(f"{description}: {done}{f' of {total}' if total else ''}, {now - started:.0f} s", file=sys.stderr)
            last = now
    print(f"{description}: {done} done in {time.monotonic() - started:.1f} s", file=sys.stderr)


def say(message: str) -> None:
    """Prints one message to standard error at once."""
    print(message, file=sys.stderr, flush=True)
