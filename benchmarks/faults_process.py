"""Parts of `faults.py`: a command in a forked process, which is killed or meets a full disk."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = {"os.mkdir", "os.link", "os.symlink"}
CHANGES = WRITES | {"os.rename", "os.remove", "os.rmdir", "os.truncate"}
SECONDS = 1800
"""A command that takes longer is stuck. The longest takes 20 s, and minutes on a machine with much else to do."""


@dataclass
class Disturbance:
    """What happens to a process: a kill, or a disk that is full from one of its changes to the file system on."""

    kill_at: int | None = None
    kill_after: float | None = None
    full_at: int | None = None
    largest_file: int | None = None
    changes: int = 0

    def install(self) -> None:
        """Arms it for this process, for good."""
        if self.largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))
        sys.addaudithook(self._on_event)

    def __str__(self) -> str:
        return " ".join(
            f"{name}={value}" for name, value in vars(self).items() if value is not None and name != "changes"
        )

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if (not opens and event not in CHANGES) or str(arguments[0]).startswith(("/dev/", "/proc/")):
            return
        if self.changes == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.full_at is not None and self.changes >= self.full_at and (opens or event in WRITES):
            raise OSError(28, "No space left on device", str(arguments[0]))
        self.changes += 1


class Process:
    """A tfrec command in a forked process, in the folder `shop`."""

    def __init__(self, line: str, shop: Path, disturbance: Disturbance | None = None) -> None:
        self.disturbance = disturbance or Disturbance()
        self._output, write = os.pipe()
        self.started, self.pid = time.monotonic(), os.fork()
        if self.pid == 0:
            self._run(line, shop, write)
        os.close(write)

    def _run(self, line: str, shop: Path, write: int) -> None:
        code: Any = 1
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.chdir(shop)
            os.environ["TFREC_CACHE"] = str(shop / "cache")
            sys.argv = ["tfrec", *line.split()]
            from tfrec.cli import main

            self.disturbance.install()
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os.write(write, f"\nchanges={self.disturbance.changes}".encode())
            os._exit(code if isinstance(code, int) else 1)

    def end(self) -> tuple[int, str]:
        """Exit code (negative for a signal) and output; kills a process after `kill_after`, and one that is stuck."""
        limit = SECONDS if self.disturbance.kill_after is None else self.disturbance.kill_after
        while (found := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() - self.started > limit:
                os.kill(self.pid, signal.SIGKILL)
                limit = SECONDS
            time.sleep(0.002)
        with open(self._output, "rb") as pipe:
            return os.waitstatus_to_exitcode(found[1]), pipe.read().decode(errors="replace")


def in_child(work: Callable[[], None]) -> None:
    """Does work in a forked process, so that this one stays fit for forking."""
    if (pid := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("A worker or the preparation failed; see above.")
