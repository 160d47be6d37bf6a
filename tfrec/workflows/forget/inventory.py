"""What a folder holds of some people: the prepared data with their events, and what was made of these data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfrec.data.dataset import DATASET_OUTPUT, PreparedDataset
from tfrec.data.ingest.pseudonyms import pseudonyms
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.runs.run import Run
from tfrec.serving.exporting.export import EXPORT_OUTPUT, is_export_of
from tfrec.serving.saved_model.guarded_export import EXPORT_FILE
from tfrec.training.run_layout import DATA_FILE, MANIFEST_FILE, PARTIAL_RUN_OUTPUT, RUN_OUTPUT
from tfrec.workflows.retrain.job_state import NIGHTS, STATE_FILE

PARTIAL = "forget.partial"
"""Folder of an erasure in progress, below the home."""


@dataclass
class Inventory:
    """What is affected by an erasure.

    Attributes:
        datasets: Prepared data to the ids of the people as the data have them.
        runs: Run to the dataset that it was trained on.
        exports: Version folder to the run that it is an export of.
        interrupted: Folders of interrupted trainings on the datasets.
        unknown: Runs whose data are not in the folder, so nobody can tell whether they read the people.
        found: Of the ids asked for, those that some dataset has.
    """

    datasets: dict[Path, list[str]] = field(default_factory=dict)
    runs: dict[Path, Path] = field(default_factory=dict)
    exports: dict[Path, Path] = field(default_factory=dict)
    interrupted: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    found: set[str] = field(default_factory=set)


def take_inventory(home: Path, users: Sequence[str]) -> Inventory:
    """Looks through a folder for what is of some people.

    Args:
        home: The folder.
        users: Ids. In data under pseudonyms, they are found by their pseudonyms as well.

    Raises:
        InvalidInput: The folder is the home of a retraining job, or an affected export has a second stage.
    """
    folders = {kind.name: [path for path in _folders(home) if kind.marks(path)] for kind in _KINDS}
    inventory, fingerprints = Inventory(), {}
    for path in folders[DATASET_OUTPUT.name]:
        dataset = PreparedDataset(path)
        ids = ids_in(dataset, users)
        fingerprints[dataset.manifest["fingerprint"]] = path
        if ids:
            inventory.datasets[path] = list(ids)
            inventory.found |= set(ids.values())
    for path in folders[RUN_OUTPUT.name]:
        data = fingerprints.get(read_json(path / MANIFEST_FILE)["data"])
        if data is None:
            inventory.unknown.append(path)
        elif data in inventory.datasets:
            inventory.runs[path] = data
    for path in folders[PARTIAL_RUN_OUTPUT.name]:
        state = path / DATA_FILE
        if state.is_file() and fingerprints.get(read_json(state).get("fingerprint")) in inventory.datasets:
            inventory.interrupted.append(path)
    runs = [Run(path) for path in inventory.runs]
    for path in folders[EXPORT_OUTPUT.name]:
        if (run := next((run for run in runs if is_export_of(path, run)), None)) is not None:
            inventory.exports[path] = run.path
            _refuse_two_stages(path)
    return inventory


def ids_in(dataset: PreparedDataset, users: Sequence[str]) -> dict[str, str]:
    """The ids that a dataset has of some users, to the ids that were asked for.

    Raises:
        InvalidInput: The dataset has pseudonyms, and their key is not where it was.
    """
    there, asked = set(dataset.histories().user_ids.astype(str)), dict(zip(users, users, strict=True))
    if key := dataset.manifest["config"].get("pseudonym_key"):
        asked |= dict(zip(pseudonyms(users, key), users, strict=True))
    return {name: user for name, user in asked.items() if name in there}


_KINDS = (DATASET_OUTPUT, RUN_OUTPUT, PARTIAL_RUN_OUTPUT, EXPORT_OUTPUT)


def _folders(home: Path) -> Iterator[Path]:
    """All folders below `home`, but for what an erasure in progress has made, and what is being written."""
    for folder, names, _ in os.walk(home):
        names[:] = sorted(name for name in names if name != PARTIAL and not name.startswith("."))
        if STATE_FILE in os.listdir(folder) and (Path(folder) / NIGHTS).is_dir():
            raise InvalidInput(
                f"{folder} is the home of a retraining job, which keeps data by itself. Retrain on a log without these "
                "people with tfrec retrain --anew, and move the folder away."
            )
        yield Path(folder)


def _refuse_two_stages(version: Path) -> None:
    about: dict[str, Any] = read_json(version / EXPORT_FILE)
    if "ranker" in about:
        raise InvalidInput(
            f"{version} has a second stage, which is not exported again by itself. Delete the version, forget, and "
            "export with --ranker."
        )
