"""What a folder holds of some people: the prepared data with their events, and what was made of these data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfrec.config import RunConfig
from tfrec.data.dataset import DATASET_OUTPUT, PreparedDataset
from tfrec.data.ingest.pseudonyms import pseudonyms
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.serving.devices.device_folder import DEVICE_OUTPUT
from tfrec.serving.exporting.export import EXPORT_OUTPUT, manifest_id, runs_of
from tfrec.serving.saved_model.guarded_export import EXPORT_FILE
from tfrec.training.run_layout import CONFIG_FILE, DATA_FILE, MANIFEST_FILE, PARTIAL_RUN_OUTPUT, RUN_OUTPUT
from tfrec.workflows.forget.retraining_jobs import Job, affected_job, is_job, unknown_models

PARTIAL = "forget.partial"
"""Folder of an erasure in progress, below the home."""


@dataclass(frozen=True)
class Stages:
    """The runs that a version is an export of: the first stage, and the ranker behind it or None."""

    run: Path
    ranker: Path | None = None


@dataclass
class Inventory:
    """What is affected by an erasure.

    Attributes:
        datasets: Prepared data to the ids of the people as the data have them.
        runs: Run to the dataset that it is trained again on. A run that learned from one that read the people is among
            them, whatever its own data.
        exports: Version folder to the runs that it is an export of, or that take its place.
        jobs: Retraining jobs on the datasets.
        interrupted: Folders of interrupted trainings on the datasets.
        unknown: Runs whose data are not in the folder, so nobody can tell whether they read the people.
        devices: Exports for devices, which do not say what they are made of.
        found: Of the ids asked for, those that some dataset has.
    """

    datasets: dict[Path, list[str]] = field(default_factory=dict)
    runs: dict[Path, Path] = field(default_factory=dict)
    exports: dict[Path, Stages] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    interrupted: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    devices: list[Path] = field(default_factory=list)
    found: set[str] = field(default_factory=set)


def take_inventory(home: Path, users: Sequence[str]) -> Inventory:
    """Looks through a folder for what is of some people.

    Args:
        home: The folder.
        users: Ids. In data under pseudonyms, they are found by their pseudonyms as well.

    Raises:
        InvalidInput: The runs of an affected export are not all in the folder, or a retraining job exports elsewhere.
    """
    found = list(_folders(home))
    folders = {kind.name: [path for path in found if kind.marks(path)] for kind in _KINDS}
    inventory, fingerprints = Inventory(), {}
    for path in folders[DATASET_OUTPUT.name]:
        fingerprints[PreparedDataset(path).manifest["fingerprint"]] = path
        _take_dataset(inventory, path, users)
    trained_on = {path: fingerprints.get(read_json(path / MANIFEST_FILE)["data"]) for path in folders[RUN_OUTPUT.name]}
    inventory.unknown += [path for path, data in trained_on.items() if data is None]
    known = {path: data for path, data in trained_on.items() if data is not None}
    inventory.runs |= {path: data for path, data in known.items() if data in inventory.datasets}
    for path in folders[PARTIAL_RUN_OUTPUT.name]:
        state = path / DATA_FILE
        if state.is_file() and fingerprints.get(read_json(state).get("fingerprint")) in inventory.datasets:
            inventory.interrupted.append(path)
    for path in filter(is_job, found):
        _take_job(inventory, path, home, users)
    _take_heirs(inventory, known)
    _take_exports(inventory, folders[EXPORT_OUTPUT.name], [*folders[RUN_OUTPUT.name], *inventory.runs])
    inventory.devices += folders[DEVICE_OUTPUT.name] if inventory.runs else []
    return inventory


def _take_dataset(inventory: Inventory, path: Path, users: Sequence[str]) -> None:
    if ids := ids_in(PreparedDataset(path), users):
        inventory.datasets[path] = list(ids)
        inventory.found |= set(ids.values())


def _take_job(inventory: Inventory, folder: Path, home: Path, users: Sequence[str]) -> None:
    job = affected_job(folder, home, lambda dataset: bool(ids_in(dataset, users)))
    if job is None or job.data is None:
        inventory.unknown += unknown_models(folder)
    if job is None:
        return
    inventory.jobs.append(job)
    if job.data is not None:
        _take_dataset(inventory, job.data, users)
        if job.champion is not None:
            inventory.runs[job.champion] = job.data
            inventory.exports |= dict.fromkeys(job.versions, Stages(job.champion))


def _take_heirs(inventory: Inventory, runs: Mapping[Path, Path]) -> None:
    """Notes the runs that began with the weights of a noted one or had it as a teacher, and those that learned of them.

    Args:
        inventory: Changed.
        runs: Each run to the dataset that it is trained on, which need not have the people.
    """
    parents = {path: _learned_from(path) for path in runs}
    while heirs := [path for path in runs if path not in inventory.runs and parents[path] & _resolved(inventory.runs)]:
        inventory.runs |= {path: runs[path] for path in heirs}


def _learned_from(run: Path) -> set[Path]:
    options = RunConfig.load(run / CONFIG_FILE).training
    return _resolved(Path(path) for path in [options.start_from, *options.teachers] if path)


def _resolved(paths: Iterable[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _take_exports(inventory: Inventory, versions: Sequence[Path], runs: Sequence[Path]) -> None:
    """Notes the exports of which a stage is trained again.

    Raises:
        InvalidInput: Not all stages of one are in the folder.
    """
    known = {manifest_id(read_json(path / MANIFEST_FILE)): path for path in runs}
    for version in versions:
        first, second = (known.get(name or "") for name in runs_of(version))
        if version in inventory.exports or not {first, second} & inventory.runs.keys():
            continue
        if first is None or (second is None and "ranker" in read_json(version / EXPORT_FILE)):
            raise InvalidInput(
                f"{version} has two stages, and only one of their runs is in the folder or known. Delete the version, "
                "forget, and export again with --ranker."
            )
        inventory.exports[version] = Stages(first, second)


def ids_in(dataset: PreparedDataset, users: Sequence[str]) -> dict[str, str]:
    """The ids that a dataset has of some users, to the ids that were asked for.

    Raises:
        InvalidInput: The dataset has pseudonyms, and their key is not where it was.
    """
    there, asked = set(dataset.histories().user_ids.astype(str)), dict(zip(users, users, strict=True))
    if key := dataset.manifest["config"].get("pseudonym_key"):
        asked |= dict(zip(pseudonyms(users, key), users, strict=True))
    return {name: user for name, user in asked.items() if name in there}


_KINDS = (DATASET_OUTPUT, RUN_OUTPUT, PARTIAL_RUN_OUTPUT, EXPORT_OUTPUT, DEVICE_OUTPUT)


def _folders(home: Path) -> Iterator[Path]:
    """All folders below `home`, but for what is in a retraining job, an erasure in progress, or being written."""
    for folder, names, _ in os.walk(home):
        inside = is_job(Path(folder))
        names[:] = sorted(name for name in names if not inside and name != PARTIAL and not name.startswith("."))
        yield Path(folder)
