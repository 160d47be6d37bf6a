"""Manages the versions of one model: reads which to serve, loads new ones and drops old ones."""

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
from tfrec.serving.version_folders import servable_versions

START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


@dataclass
class State:
    """State of a version: a number of ModelVersionStatus.State, and the error if it failed to load, else ""."""

    state: int
    error: str = ""


@dataclass
class VersionPolicy:
    """The versions to serve, as `models.config` says.

    Attributes:
        versions: Versions to serve, newest first.
        otherwise: Older versions to fall back to if none of `versions` loads; empty where versions are pinned.
        labels: Version by label.
    """

    versions: list[int] = field(default_factory=list)
    otherwise: list[int] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


class Versions:
    """The loaded versions of one model.

    A new version takes over when it is loaded and warmed up, and the old one is dropped after its last request. If a
    version does not load, the old one stays; the state of the new one says why, and loading is tried again when its
    files change.

    Args:
        folder: Model folder, `saved_models/NAME`; NAME is the model's name for clients.
        load: Loads a version folder as a `LoadedVersion`.
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
        """The version with a number or a label, by default the newest.

        Raises:
            RequestError: NOT_FOUND for a version that is not loaded, INVALID_ARGUMENT for an unknown label.
        """
        if label:
            if label not in self.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        if version is None and self.loaded:
            return self.loaded[max(self.loaded)]
        if version in self.loaded:
            return self.loaded[version]
        request = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
        raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {request}")

    async def refresh(self) -> bool:
        """Loads and drops versions as the files on disk say; returns whether anything changed."""
        try:
            policy = read_version_policy(self.folder)
        except InvalidInput:
            return False  # a broken or half-written models.config changes nothing
        changed = False
        for number in policy.versions:
            if number not in self.loaded and self._failed.get(number) != self._stamp(number):
                changed |= await self._add(number)
        for number in policy.otherwise:
            if not self.loaded and self._failed.get(number) != self._stamp(number):
                changed |= await self._add(number)
        self.labels = {label: number for label, number in policy.labels.items() if number in self.loaded}
        changed |= self._drop_surplus(policy)
        self._forget_vanished()
        return changed

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

    def _drop_surplus(self, policy: VersionPolicy) -> bool:
        surplus = [number for number in self.loaded if number not in policy.versions]
        # An old version is better than none.
        if set(surplus) == set(self.loaded):
            surplus = [number for number in surplus if number != max(self.loaded)]
        # A version is dropped only after the one that replaces it has been loaded.
        elif missing := [n for n in policy.versions if n not in self.loaded]:
            surplus = [number for number in surplus if number > max(missing)]
        for number in surplus:
            del self.loaded[number]
            self.states[number] = State(END)
        if surplus:
            gc.collect()
        return bool(surplus)

    def _forget_vanished(self) -> None:
        """Drops the states of versions that are neither loaded nor on disk."""
        for number in set(self.states) - set(self.loaded) - set(servable_versions(self.folder)):
            del self.states[number]
            self._failed.pop(number, None)

    def _path(self, number: int) -> Path:
        return servable_versions(self.folder).get(number, self.folder / str(number))

    def _stamp(self, number: int) -> float:
        try:
            return max(p.stat().st_mtime for p in self._path(number).rglob("*"))
        except (OSError, ValueError):
            return 0.0


def read_version_policy(folder: Path) -> VersionPolicy:
    """Reads `serving/models.config` of a model folder. Without that file, the newest version is served.

    Raises:
        InvalidInput: the file is no `ModelServerConfig`, or the folder does not exist.
    """
    try:
        existing = sorted(servable_versions(folder), reverse=True)
        path = folder / MODELS_CONFIG
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except OSError as error:
        raise InvalidInput(f"Expected a model folder, e.g. saved_models/NAME; {folder}: {error.strerror}.") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{folder / MODELS_CONFIG} is not a ModelServerConfig: {error}") from None
    configs = [c for c in parsed.model_config_list.config if c.name == folder.name]
    if not configs:
        return VersionPolicy(existing[:1], existing[1:])
    policy, labels = configs[0].model_version_policy, dict(configs[0].version_labels)
    if policy.HasField("specific"):
        return VersionPolicy([number for number in existing if number in policy.specific.versions], [], labels)
    count = len(existing) if policy.HasField("all") else max(policy.latest.num_versions, 1)
    return VersionPolicy(existing[:count], existing[count:], labels)
