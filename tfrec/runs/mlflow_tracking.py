"""Finished runs in MLflow: what they were set to, each epoch, what they were measured at, and their files."""

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
"""Parameters that MLflow takes at a time."""
_UNMEASURED = ("intervals", "slices", "protocol", "calibration", "users", "items")


def store_of(knobs: TrackingConfig) -> Store | None:
    """Where `tracking.mlflow` has the run recorded; None where it is off. Called before a fit, so that it fails early.

    Raises:
        Unavailable: MLflow is not installed, or its store does not answer.
    """
    if not knobs.mlflow:
        return None
    uri = knobs.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
    return Store(uri, knobs.mlflow_experiment)


class Store:
    """An MLflow store, spoken to by its client alone: MLflow's global state (its active run) is left as it is.

    Args:
        uri: What MLflow takes: `sqlite:////absolute/mlflow.db`, `http://…`.
        experiment: Made where there is none of that name.

    Raises:
        Unavailable: MLflow is not installed, or the store does not answer.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri, self.experiment = uri, experiment
        self._client = _client(uri)
        try:
            found = self._client.get_experiment_by_name(experiment)
            self._id = found.experiment_id if found else self._client.create_experiment(experiment)
        except Exception as error:  # MLflow's own, those of its database, of the network
            raise _unreachable(uri, error) from None

    def record(self, folder: Path, config: RunConfig, history: Sequence[Mapping[str, Any]]) -> str:
        """Records the finished run in `folder` and writes `mlflow.json` there, which says where; returns MLflow's id.

        Args:
            folder: The run: its files (but for the weights) become artefacts, `metrics_valid.json` metrics too.
            config: Becomes the parameters, `section.key`.
            history: Rows of `history.csv`; each number of a row becomes a metric at the step of its epoch.
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
        """Adds a file, and metrics under names that begin with `prefix`, to a recorded run."""
        self._measure(number, metrics, 0, prefix)
        self._client.log_artifact(number, str(file))

    def _measure(self, number: str, values: Mapping[str, Any], step: int, prefix: str = "") -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        found = [Metric(name, value, now, step) for name, value in _numbers(values, prefix)]
        for start in range(0, len(found), _BATCH):
            self._client.log_batch(number, metrics=found[start : start + _BATCH])


def record_run(store: Store | None, folder: Path, config: RunConfig, history: Sequence[Mapping[str, Any]]) -> None:
    """`Store.record`, where there is a store. A store that fails by now costs a message, not the finished run."""
    if store is None:
        return
    try:
        store.record(folder, config, history)
        say(f"Recorded in MLflow: {store.uri}, experiment {store.experiment}")
    except Exception as error:
        say(f"The run is written, but MLflow at {store.uri} did not take it: {_first_line(error)}")


def add_to_record(folder: Path, file: Path, metrics: Mapping[str, Any] | None = None, prefix: str = "") -> None:
    """Adds a file, and metrics, to the MLflow run of the run in `folder`; nothing where it was not recorded.

    What fails costs a message: a measurement is worth more than its record.
    """
    if not (folder / RECORD_FILE).is_file():
        return
    record = read_json(folder / RECORD_FILE)
    try:
        Store(record["uri"], record["experiment"]).add(record["run_id"], file, metrics or {}, prefix)
    except Exception as error:
        say(f"{file} is not in MLflow, where {folder} was recorded: {_first_line(error)}")


def _client(uri: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent anywhere but to the store
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
    """Names joined by dots, and values; an empty mapping is a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield _name(f"{prefix}{name}"), value


def _numbers(values: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    """The finite numbers, but those that say nothing without their company."""
    measured = {name: value for name, value in values.items() if name not in _UNMEASURED}
    return [
        (name, float(value))
        for name, value in _flat(measured, prefix)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _name(text: str) -> str:
    """As MLflow takes names: “ndcg@10” becomes “ndcg_at_10”, what else it refuses “_”."""
    return re.sub(r"[^\w/.\- :]", "_", text.replace("@", "_at_"))
