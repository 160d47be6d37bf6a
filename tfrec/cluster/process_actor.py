"""An actor in a process of this machine: a Python interpreter of its own, at the other end of a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tfrec.cluster.actor import ActorLost


class ProcessActor:
    """As for `Actor`. A new interpreter, not a fork: TensorFlow's threads do not survive one, nor should its memory.

    Unlike `multiprocessing`'s spawn it does not run the caller's main module again, which scripts would have to allow.

    Args:
        make: Makes the object there: a class, or a function of a module.
        arguments: Its arguments.
    """

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._send(make, arguments)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """As for `Actor`."""
        self._send(method, arguments)
        return self._receive

    def __enter__(self) -> ProcessActor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()  # which ends the process
        self._process.wait()

    def _send(self, what: Any, arguments: tuple[Any, ...]) -> None:
        try:
            self._pipe.send((what, arguments))
        except OSError:
            raise self._lost() from None

    def _receive(self) -> Any:
        try:
            done, value = self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if not done:
            raise value
        return value

    def _lost(self) -> ActorLost:
        return ActorLost(f"process {self.pid} has ended with exit code {self._process.wait()}")


def serve(pipe: Connection) -> None:
    """Makes the object and answers calls until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the command ends it, and the pipe then ends this
    try:
        make, arguments = pipe.recv()
        served = make(*arguments)
        while True:
            method, arguments = pipe.recv()
            try:
                answer = True, getattr(served, method)(*arguments)
            except Exception as error:
                answer = False, error
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
