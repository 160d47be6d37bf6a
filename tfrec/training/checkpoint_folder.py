"""A folder with the newest complete checkpoint of a training run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.files import write_json
from tfrec.files.stored_folder import read_object
from tfrec.training.sharded_rows import ShardedRows

STATE_FILE = "state.json"
_CURE = "Start again with --force, without --resume."


class CheckpointFolder:
    """Reads and writes the newest complete checkpoint: variables and the state needed to continue training.

    The state file is written last and names the files of the variables, so a kill at any moment leaves either the
    previous checkpoint or the new one, never a mixture.

    Args:
        folder: Created by the first `write`.
        rows: A table outside of TensorFlow that is saved and restored with the variables; None for none.
        **objects: Objects that `tf.train.Checkpoint` saves: models, optimizers, variables.
    """

    def __init__(self, folder: Path, rows: ShardedRows | None = None, **objects: Any) -> None:
        self.folder, self._rows = folder, rows
        self._checkpoint = tf.train.Checkpoint(**objects)

    def write(self, name: str, state: dict[str, Any]) -> None:
        """Writes a checkpoint, then removes the previous one.

        Args:
            name: A unit and the number of units done, e.g. "epoch-3".
            state: JSON-serialisable values, which `read` returns.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint.write(str(self.folder / name))
        if self._rows is not None:
            self._rows.save(self.folder / name)
        write_json(self.folder / STATE_FILE, {"name": name, **state})
        unit = name.rpartition("-")[0]
        for path in self.folder.glob(f"{unit}-*"):  # including leftovers of an interrupted write
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith(f"{name}."):
                path.unlink()

    def read(self) -> dict[str, Any] | None:
        """Restores the variables from the checkpoint and returns its state, or None if there is no checkpoint.

        Variables created later, such as those of an optimizer at its first step, are restored on creation.

        Raises:
            InvalidInput: The checkpoint is damaged.
        """
        path = self.folder / STATE_FILE
        if not path.is_file():
            return None
        state = read_object(path, {"name": str}, _CURE)
        prefix = self.folder / state["name"]
        try:
            self._checkpoint.read(str(prefix)).assert_existing_objects_matched()
            if self._rows is not None:
                self._rows.restore(prefix)
        except (tf.errors.OpError, OSError, AssertionError, ValueError, RuntimeError, LookupError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InvalidInput(f"The checkpoint {prefix} cannot be read ({reason}). {_CURE}") from None
        return state
