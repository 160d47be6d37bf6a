"""Records finished runs in MLflow: parameters, metrics per epoch, evaluation metrics and files."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec.config import RunConfig, TrackingConfig
from tfrec.errors import Unavailable
from tfrec.files import read_json, write_json
from tfrec.progress import say

RECORD_FILE = "mlflow.json"
KEPT = ("config.yaml", "manifest.json", "history.csv", "metrics_valid.json")
_BATCH = 100
"""MLflow's limit on parameters per request."""
_UNMEASURED = ("intervals", "slices", "protocol", "calibration", "users", "items")
"""Parts of the metrics that are not recorded."""


def mlflow_store(options: TrackingConfig) -> Store | None:
    """The store that `tracking` configures; None if `tracking.mlflow` is off. Called before the fit to fail early.

    Raises:
        Unavailable: MLflow is not installed, or its store does not answer.
    """
    if not options.mlflow:
        return None
    uri = options.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
    return Store(uri, options.mlflow_experiment)


class Store:
    """An MLflow store, accessed only through its client, so that MLflow's global state (the active run) is unchanged.

    Args:
        uri: An MLflow tracking URI: `sqlite:////absolute/mlflow.db`, `http://…`.
        experiment: Name of the experiment; created if it does not exist.

    Raises:
        Unavailable: MLflow is not installed, or the store does not answer.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri, self.experiment = uri, experiment
        self._client = _client(uri)
        try:
            existing = self._client.get_experiment_by_name(experiment)
            self._id = existing.experiment_id if existing else self._client.create_experiment(experiment)
        except Exception as error:  # of MLflow, its database or the network
            raise _unreachable(uri, error) from None

    def record(self, folder: Path, config: RunConfig, history: Sequence[Mapping[str, Any]]) -> str:
        """Records the finished run in `folder`, saves a reference in its `mlflow.json`, and returns MLflow's run id.

        Args:
            folder: The run. Its files, except the weights, become artefacts; `metrics_valid.json` also becomes metrics.
            config: Becomes parameters named `section.key`.
            history: Rows of `history.csv`; each value becomes a metric whose step is the epoch.
        """
        manifest = read_json(folder / "manifest.json")
        tags = {"tfrec.run": str(folder.resolve()), "tfrec.data": manifest["data"]}
        tags |= {f"tfrec.version.{name}": str(value) for name, value in manifest["versions"].items()}
        tags |= {"mlflow.source.git.commit": manifest["git_commit"]} if manifest["git_commit"] else {}
        run = self._client.create_run(self._id, run_name=folder.name, tags=tags)
        number = run.info.run_id
        settings = [(name, str(value)) for name, value in _flat(config.model_dump(mode="json"))]
        for start in range(0, len(settings), _BATCH):
            self._client.log_batch(number, params=_params(settings[start : start + _BATCH]))
        for row in history:
            self._measure(number, {name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
        self._measure(number, read_json(folder / "metrics_valid.json"), len(history), "best.")
        for name in KEPT:
            if (folder / name).is_file():
                self._client.log_artifact(number, str(folder / name))
        self._client.set_terminated(number)
        write_json(folder / RECORD_FILE, {"uri": self.uri, "experiment": self.experiment, "run_id": number})
        return str(number)

    def add(self, number: str, file: Path, metrics: Mapping[str, Any], prefix: str) -> None:
        """Adds a file, and metrics with names prefixed by `prefix`, to a recorded run."""
        self._measure(number, metrics, 0, prefix)
        self._client.log_artifact(number, str(file))

    def _measure(self, number: str, values: Mapping[str, Any], step: int, prefix: str = "") -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        measured = [Metric(name, value, now, step) for name, value in _numbers(values, prefix)]
        for start in range(0, len(measured), _BATCH):
            self._client.log_batch(number, metrics=measured[start : start + _BATCH])


def record_run(store: Store | None, folder: Path, config: RunConfig, history: Sequence[Mapping[str, Any]]) -> None:
    """Calls `Store.record` if there is a store. If that fails, prints a message; the finished run is kept."""
    if store is None:
        return
    try:
        store.record(folder, config, history)
        say(f"Recorded in MLflow: {store.uri}, experiment {store.experiment}")
    except Exception as error:
        say(f"The run is written, but MLflow at {store.uri} did not take it: {_first_line(error)}")


def add_to_record(folder: Path, file: Path, metrics: Mapping[str, Any] | None = None, prefix: str = "") -> None:
    """Adds a file and metrics to the MLflow record of the run in `folder`; does nothing if it was not recorded.

    If that fails, prints a message, because metrics must not be lost when MLflow is unavailable.
    """
    if not (folder / RECORD_FILE).is_file():
        return
    record = read_json(folder / RECORD_FILE)
    try:
        Store(record["uri"], record["experiment"]).add(record["run_id"], file, metrics or {}, prefix)
    except Exception as error:
        say(f"{file} is not in MLflow, where {folder} was recorded: {_first_line(error)}")


def _client(uri: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # send nothing except to the store
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise Unavailable(
            "tracking.mlflow=true needs MLflow. Install the extra: pip install 'tfrec-bert[mlflow]'."
        ) from None
    try:
        return MlflowClient(tracking_uri=uri)
    except Exception as error:
        raise _unreachable(uri, error) from None


def _unreachable(uri: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"MLflow's store {uri} cannot be used: {_first_line(error)} Set tracking.mlflow_uri to one that can, "
        "or tracking.mlflow=false."
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _params(settings: Sequence[tuple[str, str]]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, value) for name, value in settings]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of dotted name and value; an empty mapping counts as a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield _name(f"{prefix}{name}"), value


def _numbers(values: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    """The finite numbers, except those in `_UNMEASURED`."""
    measured = {name: value for name, value in values.items() if name not in _UNMEASURED}
    return [
        (name, float(value))
        for name, value in _flat(measured, prefix)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _name(text: str) -> str:
    """A name that MLflow accepts: “ndcg@10” becomes “ndcg_at_10”; other invalid characters become “_”."""
    return re.sub(r"[^\w/.\- :]", "_", text.replace("@", "_at_"))
