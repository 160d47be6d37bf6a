"""What watches a fit: validation with the best weights kept, the time budget, a CSV history, NaN."""

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


class BestWeights(keras.callbacks.Callback):
    """Validates, keeps the weights of the best epoch on disk, and stops after `patience` validations without a better.

    Args:
        validate: Called without arguments after an epoch; returns metrics; none at all keeps the newest weights.
        monitor: Name of the metric that chooses; of "loss" lower is better, of any other higher.
        path: Where the best weights are written (.h5).
        first_epoch: int. Epochs (from 0) before this one are not validated; the last one always is.
        patience: int.
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
            self._choose(self.validate(), logs)

    def _choose(self, metrics: dict[str, float], logs: dict[str, Any] | None) -> None:
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
        """Makes the model as it is before the first epoch the one to beat; without metrics, does nothing."""
        if metrics:
            self.best, self.best_metrics, self.waited = self._value(metrics), metrics, 0
            self._save(model)

    def _value(self, metrics: dict[str, float]) -> float:
        """The metric that chooses, turned so that higher is better."""
        if self.monitor == "loss" and metrics:
            return -metrics["loss"]
        return metrics.get(self.monitor, -np.inf)

    def _save(self, model: keras.Model) -> None:
        """Writes the weights under a temporary name first, so that a kill leaves the best so far whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.suffix:
            model.save_weights(str(self.path))  # TensorFlow's own form, which does so itself
            return
        temporary = self.path.with_name(f".{self.path.name}")
        model.save_weights(str(temporary))
        os.replace(temporary, self.path)

    def state(self) -> dict[str, Any]:
        """What a resumed fit needs to go on choosing as if it had not been interrupted."""
        best = None if self.best == -np.inf else float(self.best)
        return {"best": best, "best_metrics": self.best_metrics, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up `state`."""
        self.best = -np.inf if state["best"] is None else state["best"]
        self.best_metrics, self.waited = state["best_metrics"], state["waited"]


class Stopwatch:
    """The seconds that a fit has taken, those before it was interrupted among them."""

    def __init__(self) -> None:
        self._started, self._before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._started

    def go_on_from(self, seconds: float) -> None:
        """Counts `seconds` of an interrupted process on top of this one's."""
        self._before = seconds


class TimeBudget(keras.callbacks.Callback):
    """Stops at the end of the epoch after which another would not fit into `minutes`, going by the longest so far.

    Args:
        minutes: float; infinity never stops.
        stopwatch: What measures the time used; None for a new one that starts with the training.
    """

    def __init__(self, minutes: float, stopwatch: Stopwatch | None = None) -> None:
        super().__init__()
        self.seconds, self.stopwatch = minutes * 60, stopwatch
        self.longest = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.stopwatch = self.stopwatch or Stopwatch()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.stopwatch is not None
        self.longest = max(self.longest, time.monotonic() - self.epoch_started)
        if self.stopwatch.seconds + self.longest > self.seconds:
            say(f"Stopping after epoch {epoch + 1}: the time budget of {self.seconds / 60:g} minutes is used up.")
            self.model.stop_training = True

    def state(self) -> dict[str, float]:
        """Seconds used and the longest epoch, for a resumed fit to go on counting."""
        return {"seconds": self.stopwatch.seconds if self.stopwatch else 0.0, "longest_epoch": self.longest}

    def restore(self, state: dict[str, float]) -> None:
        """Takes up `state`."""
        self.stopwatch = self.stopwatch or Stopwatch()
        self.stopwatch.go_on_from(state["seconds"])
        self.longest = state["longest_epoch"]


def finite(model: keras.Model) -> bool:
    """Whether every weight is a number."""
    return all(np.isfinite(weight).all() for weight in model.get_weights())


class StopOnNaN(keras.callbacks.Callback):
    """Raises with the step when the loss is not a number; the checkpoint of the last epoch stays."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise TfrecError(
                f"The loss became {loss} at step {batch + 1} of the epoch. The last epoch's checkpoint is kept; "
                "lower training.learning_rate and pass --resume, or start again."
            )


class History(keras.callbacks.Callback):
    """One row an epoch in a CSV file and a line on standard error; rows of an interrupted part are kept."""

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
