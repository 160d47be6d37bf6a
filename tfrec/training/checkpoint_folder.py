"""A folder that holds the newest complete checkpoint of a training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.files import write_json

STATE_FILE = "state.json"


class CheckpointFolder:
    """The newest complete checkpoint: variables, and whatever else a training needs to go on from them.

    The state file is written last and names the files of the variables, so a kill at any moment leaves either the
    checkpoint before or the new one, never a mixture.

    Args:
        folder: Made at the first `write`.
        **objects: What `tf.train.Checkpoint` is to keep: models, optimizers, variables.
    """

    def __init__(self, folder: Path, **objects: Any) -> None:
        self.folder = folder
        self._checkpoint = tf.train.Checkpoint(**objects)

    def write(self, name: str, state: dict[str, Any]) -> None:
        """Writes a checkpoint, then removes the one before.

        Args:
            name: A unit and how many of it are done, e.g. "epoch-3".
            state: What JSON can hold; `read` gives it back.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint.write(str(self.folder / name))
        write_json(self.folder / STATE_FILE, {"name": name, **state})
        unit = name.rpartition("-")[0]
        for path in self.folder.glob(f"{unit}-*"):  # also what a kill during a write left behind
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith(f"{name}."):
                path.unlink()

    def read(self) -> dict[str, Any] | None:
        """Gives the variables the values of the checkpoint; returns its state, or None where there is none.

        Variables that are made later, as those of an optimizer at its first step, get theirs then.
        """
        path = self.folder / STATE_FILE
        if not path.is_file():
            return None
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self._checkpoint.read(str(self.folder / state["name"])).assert_existing_objects_matched()
        return state
