"""The one loop that fits every family of models: epochs, validation, early stopping, checkpoints, resume."""

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


@dataclass(frozen=True)
class Stage:
    """One stage of a fit: what is trained, on what, for how long, and what chooses its best epoch.

    Attributes:
        model: Compiled, its optimizer built.
        batches: Called with the first epoch to do and the epoch to stop before, both counted from 0 over all stages;
            returns the batches of these epochs, which must depend on the epoch's number and the seed alone.
        steps: Batches of an epoch.
        epochs: Epochs of this stage.
        validate: Called after an epoch; returns metrics, or none where there is nothing to validate on, which keeps the
            newest weights.
        monitor: The metric that chooses; of "loss" lower is better, of any other higher.
        patience: Validations without a better one before the stage ends.
        validate_from: Epochs of this stage that are not validated; the last one of it always is.
        start: Measures the model as it comes into this stage, which is then the one to beat. None: the first epoch is.
        name: Its folder below those of the checkpoints and of TensorBoard; may be empty where there is one stage alone.
        weights: File of the best weights in the checkpoint's folder. With a suffix in Keras' form, which any model of
            the same architecture can load; without one in TensorFlow's, for a model that is no whole Keras model.
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
    name: str = ""
    weights: str = "best.weights.h5"


class FitLoop:
    """Runs the stages of a fit one after the other; history, epoch numbers and time used go on from one to the next.

    At the end of an epoch these act, in this order:

    1. `StopOnNaN` raised already, at the step whose loss is no number; nothing of the epoch is recorded then.
    2. `TimeBudget` may end the fit, and so that the next one knows that this epoch is the last.
    3. `BestWeights` validates, adds `valid_…` to the epoch's numbers, keeps the weights if they are the best, and may
       end the stage.
    4. `History` appends the row: a line of the CSV file and one on the console.
    5. `TensorBoard` draws the numbers.
    6. `EpochCheckpoint` writes all of that with the model and its optimizer; from here on the epoch is done.
    7. `after_epoch` is called; it may raise to stop.

    An epoch that was interrupted before 6 is done again from its beginning, and as every random choice depends on the
    seed and the epoch alone, to the same end. The time since the last checkpoint is lost, and not counted.

    Args:
        workdir: Folder of the run in progress: checkpoints, history and TensorBoard's curves go there.
        resume: Whether to go on from the checkpoints in `workdir`, where there are any.
        time_budget: Minutes since the loop was made, those before an interruption among them; None for no end.
        after_epoch: Called with each epoch, counted from 0, and its numbers.

    Attributes:
        rows: The history: an epoch a row.
        metrics: What was measured of the best weights so far.
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
        """Does what is left of a stage; returns the file of its best weights, for `load_weights`."""
        before, folder = len(self.rows), self.workdir / CHECKPOINT_FOLDER / stage.name
        path = folder / stage.weights
        best = BestWeights(stage.validate, stage.monitor, path, before + stage.validate_from, stage.patience)
        checkpoint = EpochCheckpoint(folder, stage.model, best, TimeBudget(self.minutes, self._stopwatch))
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
        """In the order that the class describes."""
        curves = str(self.workdir / TENSORBOARD_FOLDER / stage.name)
        callbacks = [
            StopOnNaN(),
            checkpoint.budget,
            checkpoint.best,
            History(self.workdir / HISTORY_FILE, self.rows),
            keras.callbacks.TensorBoard(curves, write_graph=False),
            checkpoint,
        ]
        if self.after_epoch is not None:
            callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=self.after_epoch))
        return callbacks
