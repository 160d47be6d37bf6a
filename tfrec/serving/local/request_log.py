"""The log of requests, which is off unless asked for: a sample of them, under pseudonyms, by a thread of its own."""

from __future__ import annotations

import json
import queue
import random
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tfrec import schema
from tfrec.data.ingest.pseudonyms import pseudonym
from tfrec.serving.local.inputs import Arrays
from tfrec.serving.local.pieces import Piece, joined
from tfrec.serving.local.rate_limited_log import LOGGER
from tfrec.serving.local.request_log_files import RequestLogFiles
from tfrec.serving.local.request_log_options import RequestLogOptions

_INPUTS: Final = (
    schema.HISTORY_ITEM_IDS,
    schema.HISTORY_EVENTS,
    schema.EXCLUDE_ITEM_IDS,
    schema.CANDIDATE_ITEM_IDS,
    schema.EXPLAIN_ITEM_IDS,
    schema.ITEM_IDS,
)
"""Ids of items and kinds of events. Texts, pictures, vectors and features of users are never logged."""
_OUTPUTS: Final = (schema.ITEM_IDS,)
_MOST_WAITING: Final = 256
_MOST_BYTES: Final = 2**18
"""Requests that wait, and bytes of each: what the log needs of memory at most is their product, 64 MB."""
_LOOK_SECONDS: Final = 60.0
"""Between two looks for expired files while nobody asks."""


@dataclass(frozen=True)
class AnsweredRequest:
    """A request and its answer, of which the log makes a line.

    Args:
        model: Name of the model.
        version: Number of the version that answered.
        signature: Name of the signature.
        user: Value of the header `schema.USER_HEADER`; None if there was none.
        inputs: The inputs, in pieces.
        outputs: The outputs of each piece.
        size: Bytes of the request.
    """

    model: str
    version: int
    signature: str
    user: str | None
    inputs: Sequence[Piece]
    outputs: Sequence[Arrays]
    size: int


class RequestLog:
    """Writes a line for some of the requests.

    No request waits for the log: where they come faster than lines are written, and of requests above 256 KB, there is
    no line, and `dropped` counts them.

    Args:
        options: What is logged.
        now: The clock.
    """

    def __init__(self, options: RequestLogOptions, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._options, self._now = options, now
        self._files = RequestLogFiles(options.folder, options.days)
        self._waiting: queue.Queue[tuple[datetime, AnsweredRequest] | None] = queue.Queue(_MOST_WAITING)
        self.written = 0
        self._not_taken = self._not_written = 0  # each is counted by one thread alone
        self._files.remove_expired(now().date())
        self._thread = threading.Thread(target=self._write_lines, name="request-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines of the sample that were not written."""
        return self._not_taken + self._not_written

    def record(self, request: AnsweredRequest) -> None:
        """Takes a request or leaves it, by lot."""
        if random.random() >= self._options.rate:
            return
        if request.size > _MOST_BYTES:
            self._not_taken += 1
            return
        try:
            self._waiting.put_nowait((self._now(), request))
        except queue.Full:
            self._not_taken += 1

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _write_lines(self) -> None:
        while True:
            try:
                entry = self._waiting.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                self._remove_expired()
                continue
            if entry is None:
                return
            self._remove_expired()
            try:
                self._files.append(entry[0].date(), _line(*entry, self._options.keys))
                self.written += 1
            except Exception as error:  # a full disk is no reason for the server to fail
                self._not_written += 1
                LOGGER.error("the request log misses a line: %s", getattr(error, "strerror", type(error).__name__))

    def _remove_expired(self) -> None:
        try:
            self._files.remove_expired(self._now().date())
        except OSError as error:
            LOGGER.error("expired files of the request log are still there: %s", error.strerror)


def _line(at: datetime, request: AnsweredRequest, keys: Sequence[bytes]) -> bytes:
    line = {
        schema.TIMESTAMP: at.isoformat(timespec="milliseconds"),
        "model": request.model,
        "version": request.version,
        "signature": request.signature,
        schema.USER_ID: pseudonym(urllib.parse.unquote(request.user), keys) if request.user else None,
        "inputs": _ids(joined([piece() for piece in request.inputs]), _INPUTS),
        "outputs": _ids(joined(request.outputs), _OUTPUTS),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _ids(arrays: Arrays, names: Sequence[str]) -> dict[str, Any]:
    return {name: _strings(arrays[name].tolist()) for name in names if name in arrays}


def _strings(value: Any) -> Any:
    """Lists with text in the place of bytes, without the padding at their ends."""
    if not isinstance(value, list):
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    strings = [_strings(entry) for entry in value]
    while strings and strings[-1] == "":
        strings.pop()
    return strings
