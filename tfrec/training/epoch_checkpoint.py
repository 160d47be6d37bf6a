"""The state of a fit, written after every epoch, so that a fit that was killed goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.files import write_json
from tfrec.keras import keras
from tfrec.training.callbacks import BestWeights


class EpochCheckpoint(keras.callbacks.Callback):
    """Model, optimiser and the state of the choice, written after every epoch; the state file is written last."""

    def __init__(self, folder: Path, model: keras.Model, best: BestWeights) -> None:
        super().__init__()
        self.folder, self.best = folder, best
        self.rows: list[dict[str, Any]] = []
        self.stopped = False
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    def restore(self) -> tuple[int, list[dict[str, Any]]]:
        """Takes up the last complete checkpoint; returns the epochs done and their history."""
        path = self.folder / "state.json"
        if not path.is_file():
            return 0, []
        state = json.loads(path.read_text())
        self._checkpoint.restore(str(self.folder / state["name"])).expect_partial()
        self.best.restore(state["best"])
        self.stopped = state["stopped"]
        return state["epoch"], state["rows"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"epoch-{epoch + 1}"
        self._checkpoint.write(str(self.folder / name))
        state = {"epoch": epoch + 1, "name": name, "stopped": self.model.stop_training}
        write_json(self.folder / "state.json", {**state, "best": self.best.state(), "rows": self.rows})
        for old in self.folder.glob(f"epoch-{epoch}.*"):
            old.unlink()
