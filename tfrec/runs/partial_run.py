"""The folder of a run in progress: created, resumed after an interruption, and renamed when complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import read_json, write_json
from tfrec.training.run_layout import CHECKPOINT_FOLDER, CONFIG_FILE, MANIFEST_FILE

DATA_FILE = "data.json"
"""Fingerprint of the data that the run is trained on."""


class PartialRun:
    """The folder `OUT.partial`, which is renamed to `OUT` when the run is complete.

    Files are written in this order: configuration and data fingerprint, checkpoints, the files of the finished run, and
    finally the manifest. Wherever a kill interrupts this, `--resume` continues from there.

    Args:
        out: The folder of the finished run.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out.with_name(out.name + ".partial")

    @property
    def is_complete(self) -> bool:
        """Whether all files are written and only the renaming is left."""
        return (self.folder / MANIFEST_FILE).is_file()

    @property
    def can_resume(self) -> bool:
        """Whether there is anything to resume from."""
        return self.is_complete or (self.folder / CHECKPOINT_FOLDER).is_dir()

    @property
    def _fingerprint(self) -> str:
        """Fingerprint of the data that the run is trained on."""
        if self.is_complete:
            return str(read_json(self.folder / MANIFEST_FILE)["data"])
        return str(read_json(self.folder / DATA_FILE)["fingerprint"])

    def refuse_existing(self, force: bool) -> None:
        """Raises `InvalidInput` if there is an interrupted run, unless `force`."""
        if self.folder.exists() and not force:
            raise InvalidInput(
                f"{self.folder} holds an interrupted run. Pass --resume to continue, or --force to start again."
            )

    def begin(self, dataset: PreparedDataset, config: RunConfig) -> None:
        """Creates the folder with the configuration and the data fingerprint; deletes any previous contents."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        config.save(self.folder / CONFIG_FILE)
        write_json(self.folder / DATA_FILE, {"fingerprint": dataset.manifest["fingerprint"]})

    def config_to_resume(self, dataset: PreparedDataset) -> RunConfig:
        """The configuration of the interrupted run.

        Raises:
            InvalidInput: There is no interrupted run, or it was trained on another dataset.
        """
        if not (self.folder / CONFIG_FILE).is_file():
            raise InvalidInput(
                f"There is no interrupted run to resume: {self.folder} does not exist. Leave --resume out."
            )
        if self._fingerprint != dataset.manifest["fingerprint"]:
            raise InvalidInput(f"{dataset.path} is not the dataset that {self.folder} was trained on. Pass that one.")
        return RunConfig.load(self.folder / CONFIG_FILE)

    def discard_if_nothing_to_resume(self) -> None:
        """Deletes the folder if the run failed before its first checkpoint."""
        if not self.can_resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    def publish(self) -> None:
        """Removes temporary files and renames the complete run, replacing any existing one."""
        shutil.rmtree(self.folder / CHECKPOINT_FOLDER, ignore_errors=True)
        if self.out.exists():
            shutil.rmtree(self.out)
        (self.folder / DATA_FILE).unlink(missing_ok=True)
        self.folder.rename(self.out)
