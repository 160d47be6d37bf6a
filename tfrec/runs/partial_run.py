"""The folder of a run in progress: begun, taken up after an interruption, and renamed when it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import read_json, write_json
from tfrec.training.run_layout import CHECKPOINT_FOLDER, CONFIG_FILE, MANIFEST_FILE

DATA_FILE = "data.json"
"""Which data the run in progress is trained on."""


class PartialRun:
    """`OUT.partial`, which becomes `OUT`.

    Its files come in this order: the configuration and the fingerprint of the data, checkpoints, what the run keeps,
    and last of all the manifest. Whatever moment a kill finds, `--resume` does what is left, and only that.

    Args:
        out: The run's folder, once it is whole.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out.with_name(out.name + ".partial")

    @property
    def is_complete(self) -> bool:
        """Whether all that is missing is the new name."""
        return (self.folder / MANIFEST_FILE).is_file()

    @property
    def can_resume(self) -> bool:
        """Whether there is something to go on with."""
        return self.is_complete or (self.folder / CHECKPOINT_FOLDER).is_dir()

    @property
    def _fingerprint(self) -> str:
        """Of the data that the run is trained on."""
        if self.is_complete:
            return str(read_json(self.folder / MANIFEST_FILE)["data"])
        return str(read_json(self.folder / DATA_FILE)["fingerprint"])

    def refuse_existing(self, force: bool) -> None:
        """Raises `InvalidInput` when there is an interrupted run, unless it may be thrown away."""
        if self.folder.exists() and not force:
            raise InvalidInput(
                f"{self.folder} holds an interrupted run. Pass --resume to go on, or --force to start again."
            )

    def begin(self, dataset: PreparedDataset, config: RunConfig) -> None:
        """Makes the folder, with what a resumed run needs to know; throws away what was there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        config.save(self.folder / CONFIG_FILE)
        write_json(self.folder / DATA_FILE, {"fingerprint": dataset.manifest["fingerprint"]})

    def config_to_resume(self, dataset: PreparedDataset) -> RunConfig:
        """The configuration that the run was begun with.

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
        """Leaves nothing behind where a failure came before the first checkpoint."""
        if not self.can_resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    def publish(self) -> None:
        """Renames the complete run, without what only a run in progress has; replaces what is there."""
        shutil.rmtree(self.folder / CHECKPOINT_FOLDER, ignore_errors=True)
        if self.out.exists():
            shutil.rmtree(self.out)
        (self.folder / DATA_FILE).unlink(missing_ok=True)
        self.folder.rename(self.out)
