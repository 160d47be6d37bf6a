"""Callbacks of a fit: validation and best weights, time budget, CSV history, NaN check."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.errors import TfrecError
from tfrec.keras import keras
from tfrec.progress import say
from tfrec.training.ema_weights import averaged
from tfrec.training.weights_file import save_weights


class BestWeights(keras.callbacks.Callback):
    """Validates after each epoch, saves the best weights, and stops after `patience` validations without improvement.

    Args:
        validate: Returns the metrics of the current weights. If it returns none, the newest weights are kept.
        monitor: The metric that selects the best epoch. Lower is better for "loss", higher for all others.
        path: File of the best weights (.h5).
        first_epoch: int. Epochs before this one, counted from 0, are not validated; the last one always is.
        patience: int. Validations without improvement before training stops.
    """

    def __init__(
        self, validate: Callable[[], dict[str, float]], monitor: str, path: Path, first_epoch: int, patience: int
    ) -> None:
        super().__init__()
        self.validate, self.monitor, self.path = validate, monitor, path
        self.first_epoch, self.patience = first_epoch, patience
        self.best = -np.inf
        self.best_metrics: dict[str, float] = {}
        self.waited = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = epoch + 1 >= self.params["epochs"] or self.model.stop_training
        if epoch < self.first_epoch and not last:
            return
        with averaged(self.model):
            self._keep_if_best(self.validate(), logs)

    def _keep_if_best(self, metrics: dict[str, float], logs: dict[str, Any] | None) -> None:
        if logs is not None:
            logs.update({f"valid_{name}": value for name, value in metrics.items()})
        value = self._value(metrics)
        if not metrics or value > self.best:
            self.best, self.best_metrics, self.waited = value if metrics else self.best, metrics, 0
            self._save(self.model)
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.model.stop_training = True

    def begin_with(self, model: keras.Model, metrics: dict[str, float]) -> None:
        """Makes the model before the first epoch the best so far; does nothing without metrics."""
        if metrics:
            self.best, self.best_metrics, self.waited = self._value(metrics), metrics, 0
            self._save(model)

    def _value(self, metrics: dict[str, float]) -> float:
        """The monitored metric, negated if lower is better."""
        if self.monitor == "loss" and metrics:
            return -metrics["loss"]
        return metrics.get(self.monitor, -np.inf)

    def _save(self, model: keras.Model) -> None:
        """Saves the weights atomically, so that a kill cannot corrupt the best weights so far."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.suffix:
            model.save_weights(str(self.path))  # TensorFlow's own format, which is written atomically
            return
        temporary = self.path.with_name(f".{self.path.name}")
        save_weights(model, temporary)
        os.replace(temporary, self.path)

    def state(self) -> dict[str, Any]:
        """The state that a resumed fit needs to select the same epoch as an uninterrupted one."""
        best = None if self.best == -np.inf else float(self.best)
        return {"best": best, "best_metrics": self.best_metrics, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the result of `state`."""
        self.best = -np.inf if state["best"] is None else state["best"]
        self.best_metrics, self.waited = state["best_metrics"], state["waited"]


class Stopwatch:
    """Measures how long a fit has taken, including the time before an interruption."""

    def __init__(self) -> None:
        self._started, self._before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Seconds elapsed so far."""
        return self._before + time.monotonic() - self._started

    def go_on_from(self, seconds: float) -> None:
        """Adds the `seconds` that an interrupted process had taken."""
        self._before = seconds


class TimeBudget(keras.callbacks.Callback):
    """Stops after an epoch if another one, as long as the longest so far, would exceed the budget.

    An epoch that takes longer than that ends where the budget does, after a step: one of a large log may take hours.

    Args:
        minutes: float. The budget; infinity for none.
        stopwatch: Measures the time used; None for a new one that starts with training.
    """

    def __init__(self, minutes: float, stopwatch: Stopwatch | None = None) -> None:
        super().__init__()
        self.seconds, self.stopwatch = minutes * 60, stopwatch
        self.longest = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.stopwatch = self.stopwatch or Stopwatch()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.stopwatch is not None
        if self.stopwatch.seconds > self.seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.stopwatch is not None
        if self.model.stop_training:
            say(f"Stopping within epoch {epoch + 1}: the time budget of {self.seconds / 60:g} minutes is used up.")
            return
        self.longest = max(self.longest, time.monotonic() - self.epoch_started)
        if self.stopwatch.seconds + self.longest > self.seconds:
            say(f"Stopping after epoch {epoch + 1}: the time budget of {self.seconds / 60:g} minutes is used up.")
            self.model.stop_training = True

    def state(self) -> dict[str, float]:
        """Seconds used and the length of the longest epoch, for a resumed fit."""
        return {"seconds": self.stopwatch.seconds if self.stopwatch else 0.0, "longest_epoch": self.longest}

    def restore(self, state: dict[str, float]) -> None:
        """Restores the result of `state`."""
        self.stopwatch = self.stopwatch or Stopwatch()
        self.stopwatch.go_on_from(state["seconds"])
        self.longest = state["longest_epoch"]


def finite(model: keras.Model) -> bool:
    """Whether all weights are finite."""
    return all(np.isfinite(weight).all() for weight in model.get_weights())


class StopOnNaN(keras.callbacks.Callback):
    """Raises an error that names the step if the loss is not finite; the last epoch's checkpoint is kept."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise TfrecError(
                f"The loss became {loss} at step {batch + 1} of the epoch. The last epoch's checkpoint is kept; "
                "lower training.learning_rate and pass --resume, or start again."
            )


class History(keras.callbacks.Callback):
    """Writes one row per epoch to a CSV file and one line to standard error.

    Args:
        path: The CSV file.
        rows: The rows so far, including those from before an interruption; new rows are appended.
    """

    def __init__(self, path: Path, rows: list[dict[str, Any]]) -> None:
        super().__init__()
        self.path, self.rows = path, rows

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **numbers, "seconds": round(time.monotonic() - self.started, 3)})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        say(f"Epoch {epoch + 1}/{self.params['epochs']}  {shown}  ({time.monotonic() - self.started:.1f} s)")
