"""The folder of a run in progress: created, resumed after an interruption, and renamed when complete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import AlreadyExists, PartialFolder, delete_folder, publish, read_json, write_json
from tfrec.training.run_layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    DATA_FILE,
    MANIFEST_FILE,
    PARTIAL_RUN_OUTPUT,
    RUN_OUTPUT,
)


class PartialRun(PartialFolder):
    """The folder `OUT.partial`, which is renamed to `OUT` when the run is complete.

    Files are written in this order: configuration and data fingerprint, checkpoints, the files of the finished run, and
    finally the manifest. Wherever a kill interrupts this, `--resume` continues from there.

    Args:
        out: The folder of the finished run.
    """

    def __init__(self, out: Path) -> None:
        super().__init__(out, PARTIAL_RUN_OUTPUT)

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

    @contextlib.contextmanager
    def begun_with(self, dataset: PreparedDataset, config: RunConfig, force: bool) -> Iterator[None]:
        """Creates the folder with the configuration and the data fingerprint, and holds its lock."""

        def write(work: Path) -> None:
            config.save(work / CONFIG_FILE)
            write_json(work / DATA_FILE, {"fingerprint": dataset.manifest["fingerprint"]})

        with self.begun(write, force):
            yield

    def config_to_resume(self, dataset: PreparedDataset) -> RunConfig:
        """The configuration of the interrupted run.

        Raises:
            InvalidInput: There is no interrupted run, or it was trained on another dataset.
        """
        self.recover()
        if not (self.folder / CONFIG_FILE).is_file():
            raise InvalidInput(
                f"There is no interrupted run to resume: {self.folder} does not exist. Leave --resume out."
            )
        if self._fingerprint != dataset.manifest["fingerprint"]:
            raise InvalidInput(f"{dataset.path} is not the dataset that {self.folder} was trained on. Pass that one.")
        return RunConfig.load(self.folder / CONFIG_FILE)

    def what_is_kept(self) -> str:
        """What a failure leaves behind, in words."""
        return "continue with --resume once there is some." if self.can_resume else "nothing was written."

    def discard_if_nothing_to_resume(self) -> None:
        """Deletes the folder if the run failed before its first checkpoint."""
        if not self.can_resume:
            self.delete()

    def publish(self, force: bool) -> None:
        """Removes temporary files and renames the complete run.

        Args:
            force: Whether to replace an existing run.
        """
        delete_folder(self.folder / CHECKPOINT_FOLDER)
        (self.folder / DATA_FILE).unlink(missing_ok=True)
        try:
            publish(self.folder, self.out, RUN_OUTPUT, force)
        except AlreadyExists:
            raise AlreadyExists(
                f"{self.out} appeared during the training; the new run is complete in {self.folder}. Move either away, "
                "then pass --resume; or pass --resume --force to replace what appeared."
            ) from None
