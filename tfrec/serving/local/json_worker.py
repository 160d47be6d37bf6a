"""Large JSON is read and written by a process of its own.

Reading 15 MB of numbers takes a second, all of it under Python's lock, so in a thread it would stop the server as well.
(orjson holds the lock too, takes as long for strings, and refuses the NaN that TF Serving takes.) Arrays come back in
pieces that are unpickled one by one, for the same reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

from tfrec.serving.local.inputs import Arrays, Declared
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.pieces import Piece, joined
from tfrec.serving.local.rest_json import read_request, write_outputs
from tfrec.serving.local.status_codes import Code, RequestError

LARGE_BODY: Final = 2**15
"""Bytes of a body above which it goes to the process: up to there, reading it takes a few milliseconds."""
LARGE_ANSWER: Final = 2**14
"""Values in an answer above which it goes to the process."""
_MOST_WAITING: Final = 32
_NICENESS: Final = 10

_Message = tuple[Any, list[bytes]]
"""A header, which is pickled, and blobs, which are sent as they are."""


class JsonWorker:
    """Reads requests and writes answers; large ones in a process that starts with the first of them.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="json")
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._waiting = 0

    async def read(self, body: bytes, signatures: Mapping[str, Declared]) -> tuple[str, bool, list[Piece]]:
        """The signature, whether the request is in row format, and its inputs in pieces.

        Raises:
            RequestError: INVALID_ARGUMENT for whatever is wrong with the request; UNAVAILABLE if too many large ones
                wait; RESOURCE_EXHAUSTED if the process ended.
        """
        if len(body) <= LARGE_BODY:
            name, row_format, pieces = read_request(body, signatures, self._limits)
            return name, row_format, [partial(dict, piece) for piece in pieces]
        (name, row_format), blobs = await self._ask(lambda: (("read", signatures, self._limits), [body]))
        return name, row_format, [partial(pickle.loads, blob) for blob in blobs]

    async def write(self, pieces: Sequence[Arrays], row_format: bool) -> bytes:
        """The body of the answer that the outputs are the pieces of; raises what `read` raises."""
        if sum(value.size for piece in pieces for value in piece.values()) <= LARGE_ANSWER:
            return write_outputs(joined(pieces), row_format)
        _, (body,) = await self._ask(lambda: (("write", row_format), [pickle.dumps(piece) for piece in pieces]))
        return body

    def close(self) -> None:
        """Ends the process, once its current work is done."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._end()

    async def _ask(self, job: Any) -> _Message:
        if self._waiting >= _MOST_WAITING:
            raise RequestError(Code.UNAVAILABLE, f"{self._waiting} large requests are waiting already; try again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, job)
        finally:
            self._waiting -= 1

    def _exchange(self, job: Any) -> _Message:
        try:
            pipe = self._pipe or self._start()
            _send(pipe, job())
            header, blobs = _receive(pipe)
        except (OSError, EOFError):
            self._end()
            message = "The process for large requests ended, perhaps for want of memory; send fewer rows at a time"
            raise RequestError(Code.RESOURCE_EXHAUSTED, message) from None
        if isinstance(header, RequestError):
            raise header
        return header, blobs

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        # Not multiprocessing, whose processes run the main module of the program again.
        command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._pipe = ours
        return ours

    def _end(self) -> None:
        if self._pipe and self._process:
            self._pipe.close()  # at which the process ends
            self._process.wait()
        self._pipe = self._process = None


def _send(pipe: Connection, message: _Message) -> None:
    header, blobs = message
    pipe.send((header, len(blobs)))
    for blob in blobs:
        pipe.send_bytes(blob)


def _receive(pipe: Connection) -> _Message:
    header, count = pipe.recv()
    return header, [pipe.recv_bytes() for _ in range(count)]


def _work(job: tuple[Any, ...], blobs: list[bytes]) -> _Message:
    kind, *arguments = job
    try:
        if kind == "read":
            name, row_format, pieces = read_request(blobs[0], *arguments)
            return (name, row_format), [pickle.dumps(piece) for piece in pieces]
        return None, [write_outputs(joined([pickle.loads(blob) for blob in blobs]), *arguments)]
    except RequestError as error:
        return error, []
    except MemoryError:
        return RequestError(Code.RESOURCE_EXHAUSTED, "There is no memory for a request of this size"), []
    except Exception as error:
        return RequestError(Code.INTERNAL, f"Internal failure: {type(error).__name__}"), []


def main() -> None:
    """The process: answers until the server closes the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and systemd stop all processes; the server finishes first
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)  # small requests go first
    with Connection(int(sys.argv[1])) as pipe, contextlib.suppress(EOFError, OSError):
        while True:
            _send(pipe, _work(*_receive(pipe)))


if __name__ == "__main__":
    main()
