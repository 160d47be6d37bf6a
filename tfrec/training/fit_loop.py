"""The fit loop of all model families: epochs, validation, early stopping, checkpoints and resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.training.callbacks import BestWeights, History, StopOnNaN, Stopwatch, TimeBudget
from tfrec.training.epoch_checkpoint import EpochCheckpoint
from tfrec.training.run_layout import CHECKPOINT_FOLDER, HISTORY_FILE, TENSORBOARD_FOLDER
from tfrec.training.sharded_rows import ShardedRows


@dataclass(frozen=True)
class Stage:
    """One stage of a fit: what is trained, on which data, for how long, and how the best epoch is selected.

    Attributes:
        model: The compiled model, with its optimizer built.
        batches: Called with the first epoch to run and the epoch to stop before, both counted from 0 over all stages.
            Returns the batches of these epochs, which must depend only on the epoch number and the seed.
        steps: Batches per epoch.
        epochs: Epochs of this stage.
        validate: Called after an epoch; returns the validation metrics. If there are none, the newest weights are kept.
        monitor: The metric that selects the best epoch. Lower is better for "loss", higher for all others.
        patience: Validations without improvement before the stage ends.
        validate_from: Number of epochs at the beginning of the stage without validation; the last is always validated.
        start: Returns the metrics of the model at the beginning of the stage, which an epoch must then improve on. None
            if any first epoch is an improvement.
        budget: Share of the time budget after which the stage ends.
        name: Subfolder for the stage's checkpoints and TensorBoard logs; may be empty if there is only one stage.
        weights: File of the best weights in the checkpoint's folder. With a suffix it is in Keras format, which any
            model of the same architecture can load; without one in TensorFlow format, for models that are not complete
            Keras models.
        rows: A table outside of the model that checkpoints hold as well; None for none.
    """

    model: keras.Model
    batches: Callable[[int, int], tf.data.Dataset]
    steps: int
    epochs: int
    validate: Callable[[], dict[str, float]]
    monitor: str
    patience: int
    validate_from: int = 0
    start: Callable[[], dict[str, float]] | None = None
    budget: float = 1.0
    name: str = ""
    weights: str = "best.weights.h5"
    rows: ShardedRows | None = None


class FitLoop:
    """Runs the stages of a fit in turn; history, epoch numbers and elapsed time carry over from one to the next.

    Callbacks run in this order:

    1. `StopOnNaN` checks every step and raises if the loss is not finite; nothing of that epoch is recorded.
    2. `TimeBudget` may stop the fit. It comes before validation, because the last epoch is always validated.
    3. `BestWeights` validates, adds `valid_…` metrics to the epoch's logs, saves the weights if they are the best so
       far, and may stop the stage.
    4. `History` appends a row to the CSV file and prints a line.
    5. `TensorBoard` logs the metrics.
    6. `EpochCheckpoint` saves all this with model and optimizer. Only now is the epoch complete.
    7. `after_epoch` is called; it may raise to stop the fit.

    An epoch that is interrupted before step 6 is repeated from its beginning when the fit is resumed. All randomness
    depends only on the seed and the epoch, so the result is the same. Time since the last checkpoint does not count
    towards the budget.

    Args:
        workdir: Folder of the run in progress, for checkpoints, history and TensorBoard logs.
        resume: Whether to continue from the checkpoints in `workdir`, if there are any.
        time_budget: Minutes from the creation of the loop, including the time before an interruption; None for no
            limit.
        after_epoch: Called after each epoch with its number, counted from 0, and its metrics.

    Attributes:
        rows: The history, one row per epoch.
        metrics: Validation metrics of the best weights so far.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        resume: bool = False,
        time_budget: float | None = None,
        after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    ) -> None:
        self.workdir, self.resume, self.after_epoch = workdir, resume, after_epoch
        self.minutes = math.inf if time_budget is None else time_budget
        self.rows: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self._stopwatch = Stopwatch()

    def run(self, stage: Stage) -> Path:
        """Runs the remaining epochs of a stage; returns the path of its best weights, for `load_weights`."""
        before, folder = len(self.rows), self.workdir / CHECKPOINT_FOLDER / stage.name
        path = folder / stage.weights
        best = BestWeights(stage.validate, stage.monitor, path, before + stage.validate_from, stage.patience)
        checkpoint = EpochCheckpoint(
            folder, stage.model, best, TimeBudget(self.minutes * stage.budget, self._stopwatch), stage.rows
        )
        done = checkpoint.restore() if self.resume else None
        if done is None:
            done, checkpoint.rows = before, self.rows
            if stage.start is not None:
                best.begin_with(stage.model, stage.start())
        self.rows = checkpoint.rows
        last = before + stage.epochs
        if done < last and not checkpoint.stopped:
            stage.model.fit(
                stage.batches(done, last),
                initial_epoch=done,
                epochs=last,
                steps_per_epoch=stage.steps,
                callbacks=self._callbacks(stage, checkpoint),
                verbose=0,
            )
        self.metrics = best.best_metrics
        return path

    def _callbacks(self, stage: Stage, checkpoint: EpochCheckpoint) -> list[keras.callbacks.Callback]:
        """The callbacks, in the order documented above."""
        logs = str(self.workdir / TENSORBOARD_FOLDER / stage.name)
        callbacks = [
            StopOnNaN(),
            checkpoint.budget,
            checkpoint.best,
            History(self.workdir / HISTORY_FILE, self.rows),
            keras.callbacks.TensorBoard(logs, write_graph=False),
            checkpoint,
        ]
        if self.after_epoch is not None:
            callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=self.after_epoch))
        return callbacks
