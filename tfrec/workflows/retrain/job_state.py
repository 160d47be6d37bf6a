"""The lock of a retraining job, and the state that it keeps between runs in one file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import delete_folder, read_json, sweep, write_json
from tfrec.progress import say

STATE_FILE = "state.json"
NIGHTS = "nights"
FORMAT = 1
"""Format of the state file; its key `night` is a retraining run, and its folders lie in `nights/`."""


class Busy(TfrecError):
    """Another process is retraining in the same folder. Nothing was changed."""

    exit_code = 4


@contextlib.contextmanager
def locked(home: str | Path) -> Iterator[None]:
    """Holds the lock `home/lock`. The system releases it when the process ends, however it ends.

    Raises:
        Busy: another process holds it.
    """
    folder = Path(home)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(f"Process {file.read().strip()} is retraining in {folder} already. Wait for it.") from None
        with contextlib.suppress(OSError):  # on a full disk only the message of `Busy` lacks the number
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield


class State:
    """The state of a retraining job, stored in `home/state.json`.

    Attributes:
        home: Folder of the job.
        out: Model folder, `saved_models/NAME`.
        champions: Promoted versions, oldest first: version, night (number of the run that made it), sha256,
            chosen_until, withdrawn.
        current: Version labelled stable; None before the first promotion.
        last: The last finished run: night, watermark, at, status. None before the first.
        unfinished: The run in progress: number, champion, config, anew, force, done (finished steps), version. None
            between runs.
        begun: Number of runs begun so far.
    """

    def __init__(self, home: str | Path, out: str | Path | None = None) -> None:
        self.home = Path(home)
        path = self.home / STATE_FILE
        stored: dict[str, Any] = read_json(path) if path.is_file() else {}
        if stored and (not isinstance(stored, dict) or stored.get("format") != FORMAT):
            raise InvalidInput(f"Expected {path} in format {FORMAT}, as `tfrec retrain` writes it. Restore the file.")
        place = stored.get("out") or (str(out) if out is not None else None)
        if not stored and any((self.home / NIGHTS).glob("[0-9]*")):
            raise InvalidInput(
                f"{path} is gone, but {self.home / NIGHTS} has earlier runs. Restore it, or move them away."
            )
        if place is None:
            raise InvalidInput(
                f"{self.home} has not retrained anything yet: it has no {STATE_FILE}. Pass the --home of a job."
            )
        if out is not None and Path(out).resolve() != Path(place).resolve():
            raise InvalidInput(f"{self.home} exports to {place}, received {out}. Pass that folder, or another --home.")
        self.out = Path(place)
        self.champions: list[dict[str, Any]] = stored.get("champions", [])
        self.current: int | None = stored.get("current")
        self.last: dict[str, Any] | None = stored.get("last")
        self.unfinished: dict[str, Any] | None = stored.get("night")
        self.begun: int = stored.get("nights", 0)

    def save(self) -> None:
        """Writes the file; the old one is replaced as a whole."""
        values = {
            "format": FORMAT,
            "out": str(self.out),
            "champions": self.champions,
            "current": self.current,
            "last": self.last,
            "night": self.unfinished,
            "nights": self.begun,
        }
        write_json(self.home / STATE_FILE, values, durable=True)

    def folder(self, number: int) -> Path:
        """Folder of a run's files."""
        return self.home / NIGHTS / f"{number:04d}"

    def sweep(self) -> None:
        """Clears away what killed processes left among the runs and the versions; versions come back if they can."""
        for folder in (self.home, self.home / NIGHTS, self.out):
            sweep(folder)

    def champion(self) -> dict[str, Any] | None:
        """The entry of `champions` that is served; None before the first promotion."""
        return next((entry for entry in self.champions if entry["version"] == self.current), None)

    def begin(self, **choices: Any) -> Path:
        """Continues the unfinished run if it began with the same choices, else begins a new one.

        Args:
            choices: What the run depends on beside its data, e.g. champion and configuration.

        Returns:
            The folder of the run.
        """
        if self.unfinished is not None:
            if all(self.unfinished[name] == value for name, value in choices.items()):
                done = ", ".join(self.unfinished["done"]) or "nothing"
                say(f"Retraining run {self.unfinished['number']} continues; done so far: {done}")
                return self.folder(self.unfinished["number"])
            say(f"Retraining run {self.unfinished['number']} had other settings or another champion; starting anew")
            self.drop()
        self.begun += 1
        self.unfinished = {"number": self.begun, **choices, "done": [], "version": None}
        self.save()
        folder = self.folder(self.begun)
        delete_folder(folder)
        folder.mkdir(parents=True)
        return folder

    def step(self, name: str, work: Callable[[], object]) -> None:
        """Does a step of the unfinished run and records it. Finished steps are skipped, interrupted ones repeated."""
        assert self.unfinished is not None
        if name not in self.unfinished["done"]:
            say(f"Retraining run {self.unfinished['number']}: {name}")
            work()
            self.unfinished["done"].append(name)
            self.save()

    def drop(self) -> None:
        """Forgets the unfinished run and deletes its files."""
        assert self.unfinished is not None
        folder, self.unfinished = self.folder(self.unfinished["number"]), None
        self.save()
        delete_folder(folder)
