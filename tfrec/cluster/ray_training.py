"""Training processes on a Ray cluster that work as one: TensorFlow's workers, started again together when one dies."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfrec.cluster.ray_workers import connected, ray_module
from tfrec.config.cluster import ClusterConfig
from tfrec.errors import TfrecError, Unavailable


def train_on_workers(function: Callable[[dict[str, Any]], None], job: dict[str, Any], config: ClusterConfig) -> None:
    """Calls `function(job)` in `cluster.workers` processes at a time, each with its TF_CONFIG.

    When a process or its machine dies, the others are ended, and all begin again, at most `cluster.retries` times: the
    function goes on from what it has left on the storage that they share. With `cluster.min_workers` they may then be
    fewer.

    Args:
        function: A function of a module.
        job: Its argument; plain values.
        config: Section `cluster`.

    Raises:
        TfrecError: What the function raised.
        Unavailable: Ray is not installed, there is no such cluster, or the processes have died too often.
    """
    ray_module()
    # How long Ray waits for the processes to be there, which first have to load what they run.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", f"{config.timeout:g}")
    with connected(config, show_output=True):
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

        fewest = config.min_workers
        workers = config.workers if fewest is None else (fewest, config.workers)
        scaling = ScalingConfig(num_workers=workers, resources_per_worker={"CPU": config.cpus_per_worker})
        if config.spill is not None:
            Path(config.spill).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=config.spill) as folder:
            settings = RunConfig(
                name="tfrec-train",
                storage_path=str(Path(folder).absolute()),
                failure_config=FailureConfig(max_failures=config.retries),
            )
            trainer = TensorflowTrainer(function, train_loop_config=job, scaling_config=scaling, run_config=settings)
            try:
                trainer.fit()
            except TrainingFailedError as error:
                raise _cause(error) or Unavailable(
                    f"The training processes died more than {config.retries} times (cluster.retries): {error}"
                ) from None


def _cause(error: Any) -> TfrecError | None:
    """The first error of our own among those of the workers, which Ray wraps."""
    for each in getattr(error, "worker_failures", {}).values():
        for found in (each, getattr(each, "cause", None), getattr(each, "_base_exc", None)):
            if isinstance(found, TfrecError):
                return found
    return None
