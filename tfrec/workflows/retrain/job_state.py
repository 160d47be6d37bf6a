"""What the nightly job remembers between runs, in one file that is replaced as a whole, and its lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import read_json, write_json
from tfrec.progress import say

STATE_FILE = "state.json"
FORMAT = 1


class Busy(TfrecError):
    """Another copy of the job works in the same folder. Nothing was done."""

    exit_code = 4


@contextlib.contextmanager
def locked(home: str | Path) -> Iterator[None]:
    """Holds `home/lock` for this process alone; a process that dies lets go of it by dying.

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
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class State:
    """The job's memory in `home/state.json`.

    Attributes:
        home: The job's folder.
        out: `saved_models/NAME`.
        champions: Promoted versions, oldest first: version, night, sha256, cuts, withdrawn.
        current: The version that is served as stable; None before the first.
        last: The last finished night: night, watermark, at. None before the first.
        night: The one in progress: number, champion, config, anew, force, done (steps), version. None between nights.
        nights: Nights begun so far.
    """

    def __init__(self, home: str | Path, out: str | Path | None = None) -> None:
        self.home = Path(home)
        path = self.home / STATE_FILE
        known: dict[str, Any] = read_json(path) if path.is_file() else {}
        if known and (not isinstance(known, dict) or known.get("format") != FORMAT):
            raise InvalidInput(f"Expected {path} of format {FORMAT}, as `tfrec retrain` writes it. Restore it.")
        place = known.get("out") or (str(out) if out is not None else None)
        if place is None:
            raise InvalidInput(f"{self.home} has not retrained anything yet: it has no {STATE_FILE}. Choose another.")
        if out is not None and Path(out).resolve() != Path(place).resolve():
            raise InvalidInput(f"{self.home} exports to {place}, received {out}. Use that, or another --home.")
        self.out = Path(place)
        self.champions: list[dict[str, Any]] = known.get("champions", [])
        self.current: int | None = known.get("current")
        self.last: dict[str, Any] | None = known.get("last")
        self.night: dict[str, Any] | None = known.get("night")
        self.nights: int = known.get("nights", 0)

    def save(self) -> None:
        """Replaces the file."""
        names = ("champions", "current", "last", "night", "nights")
        values = {name: getattr(self, name) for name in names}
        write_json(self.home / STATE_FILE, {"format": FORMAT, "out": str(self.out), **values})

    def folder(self, night: int) -> Path:
        """Where a night's files lie."""
        return self.home / "nights" / f"{night:04d}"

    def champion(self) -> dict[str, Any] | None:
        """The entry of `champions` that is served; None before the first."""
        return next((one for one in self.champions if one["version"] == self.current), None)

    def begin(self, **choices: Any) -> Path:
        """Takes up the interrupted night where the choices are those it began with, else begins a new one."""
        if self.night is not None:
            if all(self.night[name] == value for name, value in choices.items()):
                say(f"Night {self.night['number']} goes on after: {', '.join(self.night['done']) or 'nothing'}")
                return self.folder(self.night["number"])
            say(f"Night {self.night['number']} was interrupted and began differently; starting anew")
            self.drop()
        self.nights += 1
        self.night = {"number": self.nights, **choices, "done": [], "version": None}
        self.save()
        folder = self.folder(self.nights)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def step(self, name: str, work: Callable[[], object]) -> None:
        """Does a step of the night in progress unless it is done, and records it; work that was cut off is repeated."""
        assert self.night is not None
        if name not in self.night["done"]:
            say(f"Night {self.night['number']}: {name}")
            work()
            self.night["done"].append(name)
            self.save()

    def drop(self) -> None:
        """Forgets the night in progress and its files."""
        assert self.night is not None
        folder, self.night = self.folder(self.night["number"]), None
        self.save()
        shutil.rmtree(folder, ignore_errors=True)
