"""Keeps what many clients do wrong from filling the log."""

from __future__ import annotations

import logging
import time
import traceback
from typing import Final

LOGGER: Final = logging.getLogger("tfrec.serving")


def log_failure(what: str, error: Exception) -> None:
    """Logs where a request failed, without the message of the error, which may quote what was asked."""
    places = "".join(traceback.format_tb(error.__traceback__))
    LOGGER.error("%s failed: %s\n%s", what, type(error).__name__, places)


class RateLimit(logging.Filter):
    """Lets through a few records of each message in a while, and says then how many were left out.

    Args:
        most: Records of one message (before its arguments are put in) in `seconds`.
        seconds: Length of a while.
    """

    def __init__(self, most: int = 5, seconds: float = 10.0) -> None:
        super().__init__()
        self.most, self.seconds = most, seconds
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        message, now = str(record.msg), time.monotonic()
        since, seen = self._seen.get(message, (now, 0))
        if now - since >= self.seconds:
            if seen > self.most:
                record.msg = f"{message} (and {seen - self.most} more that were not logged)"
            since, seen = now, 0
        self._seen[message] = since, seen + 1
        return seen < self.most
