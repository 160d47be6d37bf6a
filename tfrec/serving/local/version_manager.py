"""The versions of one model: which are wanted, which are loaded, and the change from one to the next."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tensorflow_serving.config import model_server_config_pb2

from tfrec.errors import InvalidInput
from tfrec.serving.exporting.server_config_files import MODELS_CONFIG
from tfrec.serving.local.loaded_version import LoadedVersion
from tfrec.serving.local.status_codes import Code, RequestError, invalid

START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


@dataclass
class State:
    """Where a version stands: a number of ModelVersionStatus.State, and why it failed ("" when it did not)."""

    state: int
    error: str = ""


@dataclass
class Wanted:
    """What `models.config` asks for: versions, newest first, and names for some of them.

    `otherwise` are the older ones, to fall back on when none of `versions` loads; none where versions are pinned.
    """

    versions: list[int] = field(default_factory=list)
    otherwise: list[int] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


class Versions:
    """Loads what is wanted, keeps what works.

    A new version answers only once it is loaded and warm; then it takes over at once, and the old one is dropped when
    its last request is done. A version that does not load changes nothing: the old one stays, the state of the new
    one says why, and it is tried again when its files change.

    Args:
        folder: `saved_models/NAME`; NAME is what clients call the model.
        load: Makes a `LoadedVersion` of a version folder.
    """

    def __init__(self, folder: Path, load: Callable[[Path], LoadedVersion] = LoadedVersion) -> None:
        self.folder, self.name = folder, folder.name
        self.states: dict[int, State] = {}
        self.loaded: dict[int, LoadedVersion] = {}
        self.labels: dict[str, int] = {}
        self._load = load
        self._failed: dict[int, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")

    def find(self, version: int | None = None, label: str = "") -> LoadedVersion:
        """The version that answers a request: the one asked for, or the newest.

        Raises:
            RequestError: NOT_FOUND for a version that is not loaded, INVALID_ARGUMENT for a label that is not given.
        """
        if label:
            if label not in self.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        if version is None and self.loaded:
            return self.loaded[max(self.loaded)]
        if version in self.loaded:
            return self.loaded[version]
        asked = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
        raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {asked}")

    async def refresh(self) -> bool:
        """Compares what is on disk with what is loaded, loads and drops; True when something changed."""
        try:
            wanted = wanted_versions(self.folder)
        except InvalidInput:
            return False  # a broken or half-written models.config: go on as before
        changed = False
        for number in wanted.versions:
            if number not in self.loaded and self._failed.get(number) != self._stamp(number):
                changed |= await self._add(number)
        for number in wanted.otherwise:
            if not self.loaded and self._failed.get(number) != self._stamp(number):
                changed |= await self._add(number)
        self.labels = {label: number for label, number in wanted.labels.items() if number in self.loaded}
        return self._drop(wanted) or changed

    def close(self) -> None:
        """Drops all versions."""
        self._thread.shutdown(wait=True)
        self.loaded.clear()
        gc.collect()

    async def _add(self, number: int) -> bool:
        self.states[number] = State(LOADING)
        stamp = self._stamp(number)
        try:
            loop = asyncio.get_running_loop()
            self.loaded[number] = await loop.run_in_executor(self._thread, self._load, self._path(number))
        except Exception as error:
            self.states[number] = State(END, str(error)[:1000])
            self._failed[number] = stamp
            return False
        self._failed.pop(number, None)
        self.states[number] = State(AVAILABLE)
        return True

    def _drop(self, wanted: Wanted) -> bool:
        surplus = [number for number in self.loaded if number not in wanted.versions]
        # With nothing else that works, an old version is better than none.
        if set(surplus) == set(self.loaded):
            surplus = [number for number in surplus if number != max(self.loaded)]
        # One that replaces another has to work first.
        elif missing := [n for n in wanted.versions if n not in self.loaded]:
            surplus = [number for number in surplus if number > max(missing)]
        for number in surplus:
            del self.loaded[number]
            self.states[number] = State(END)
        if surplus:
            gc.collect()
        return bool(surplus)

    def _path(self, number: int) -> Path:
        """The version's folder, which may have zeros before its number."""
        plain = self.folder / str(number)
        padded = (p for p in self.folder.iterdir() if p.name.isdecimal() and int(p.name) == number)
        return plain if plain.exists() else next(padded, plain)

    def _stamp(self, number: int) -> float:
        try:
            return max(p.stat().st_mtime for p in self._path(number).rglob("*"))
        except (OSError, ValueError):
            return 0.0


def wanted_versions(folder: Path) -> Wanted:
    """What `serving/models.config` asks for; the newest version where there is no such file.

    Raises:
        InvalidInput: the file is not a `ModelServerConfig`, or the folder is not there.
    """
    try:
        there = sorted(
            (int(p.name) for p in folder.iterdir() if p.name.isdecimal() and (p / "saved_model.pb").is_file()),
            reverse=True,
        )
        path = folder / MODELS_CONFIG
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except OSError as error:
        raise InvalidInput(f"Expected a model's folder, e.g. saved_models/NAME; {folder}: {error.strerror}.") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{folder / MODELS_CONFIG} is not a ModelServerConfig: {error}") from None
    configs = [c for c in parsed.model_config_list.config if c.name == folder.name]
    if not configs:
        return Wanted(there[:1], there[1:])
    policy, labels = configs[0].model_version_policy, dict(configs[0].version_labels)
    if policy.HasField("specific"):
        return Wanted([number for number in there if number in policy.specific.versions], [], labels)
    many = len(there) if policy.HasField("all") else max(policy.latest.num_versions, 1)
    return Wanted(there[:many], there[many:], labels)
