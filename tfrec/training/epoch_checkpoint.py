"""Saves the state of a fit after every epoch, so that a killed fit can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfrec.keras import keras
from tfrec.training.callbacks import BestWeights, TimeBudget
from tfrec.training.checkpoint_folder import CheckpointFolder
from tfrec.training.sharded_rows import ShardedRows


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves model, optimizer, history, best metrics and elapsed time after every epoch.

    Args:
        folder: Folder of the checkpoint.
        model: The compiled model.
        best: Its best metrics are saved and restored.
        budget: Its elapsed time is saved and restored.
        rows: A table outside of the model, likewise; None for none.

    Attributes:
        rows: The history up to this epoch; `restore` fills it.
        stopped: Whether the fit had stopped early when the checkpoint was written.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        best: BestWeights,
        budget: TimeBudget,
        rows: ShardedRows | None = None,
    ) -> None:
        super().__init__()
        self.best, self.budget = best, budget
        self.rows: list[dict[str, Any]] = []
        self.stopped = False
        self._folder = CheckpointFolder(folder, rows, model=model, optimizer=model.optimizer)

    def restore(self) -> int | None:
        """Restores the last complete checkpoint; returns the number of epochs done, or None if there is none."""
        state = self._folder.read()
        if state is None:
            return None
        self.best.restore(state["best"])
        self.budget.restore(state["time"])
        self.rows, self.stopped = state["rows"], state["stopped"]
        return int(state["epoch"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        state = {"epoch": epoch + 1, "stopped": self.model.stop_training, "best": self.best.state()}
        self._folder.write(f"epoch-{epoch + 1}", {**state, "time": self.budget.state(), "rows": self.rows})
