"""The workers of a Ray cluster."""

from __future__ import annotations

import math
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tfrec.config.cluster import ClusterConfig
from tfrec.errors import TfrecError, Unavailable
from tfrec.progress import track
from tfrec.version import __version__

T = TypeVar("T")

_POLL = 1.0
"""Seconds between two looks at the cluster."""


def ray_module() -> Any:
    """The package ray.

    Raises:
        Unavailable: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a library sends nothing about who uses it
    try:
        import ray
    except ImportError:
        raise Unavailable("cluster.engine=ray needs Ray. pip install 'tfrec-bert[cluster]'") from None
    return ray


@contextmanager
def connected(config: ClusterConfig, show_output: bool = False) -> Iterator[None]:
    """A connection to the cluster, or to one that is started here and ends with the context.

    A program that is connected already stays so, to the cluster it has chosen.

    Args:
        config: Section `cluster`.
        show_output: Whether what the workers print is printed here too.

    Raises:
        Unavailable: The cluster cannot be reached, has too few cores in time, or runs other versions.
    """
    ray = ray_module()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, config, show_output)
    try:
        _await_cores(ray, config)
        _refuse_other_versions(ray, config)
        yield
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, config: ClusterConfig, show_output: bool) -> None:
    address = config.address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address}
    if address is None:
        options = {"address": "local", "num_cpus": math.ceil(config.workers * config.cpus_per_worker)}
    else:
        _await_answer(address, config.timeout)
    threads = str(max(1, int(config.cpus_per_worker)))
    # Ray imports TensorFlow in the processes that train before they import tfrec, which else would choose this Keras.
    environment = {"env_vars": {"POLARS_MAX_THREADS": threads, "TF_USE_LEGACY_KERAS": "1"}}
    try:
        ray.init(**options, logging_level="ERROR", log_to_driver=show_output, runtime_env=environment)
    except Exception as error:  # Ray raises many kinds, plain ones among them
        ray.shutdown()  # what has started of it
        reason = str(error).strip().splitlines()[0]
        there = f"at {address} cannot be reached (cluster.address)" if address else "of this machine does not start"
        raise Unavailable(f"The Ray cluster {there}: {reason}") from None


def _await_answer(address: str, timeout: float) -> None:
    """Waits until somebody answers at an address. `ray.init` itself waits for ever where nobody does."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # auto, or a name that ray.init knows
        return
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=max(_POLL, end - time.monotonic())).close()
            return
        except OSError as error:
            if time.monotonic() >= end:
                raise Unavailable(f"Nobody answers at cluster.address={address} after {timeout:g} s: {error}") from None
        time.sleep(_POLL)


def _await_cores(ray: Any, config: ClusterConfig) -> None:
    """Waits for the cores of the workers; an autoscaler may have to start them."""
    needed, end = config.workers * config.cpus_per_worker, time.monotonic() + config.timeout
    while (there := _cores(ray)) < needed:
        if time.monotonic() >= end:
            raise Unavailable(
                f"cluster.workers={config.workers} with cluster.cpus_per_worker={config.cpus_per_worker:g} need "
                f"{needed:g} cores; the cluster has {there:g} after {config.timeout:g} s. Ask for fewer."
            )
        time.sleep(_POLL)


def _cores(ray: Any) -> float:
    return float(ray.cluster_resources().get("CPU", 0.0))


def versions() -> dict[str, str]:
    """The versions that must be the same everywhere for the same bytes."""
    import numpy as np
    import polars as pl

    return {
        "tfrec": __version__,
        "polars": pl.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }


def _refuse_other_versions(ray: Any, config: ClusterConfig) -> None:
    """Asks one worker of each machine what it runs."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(versions)
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[node["NodeManagerHostname"], node["NodeID"]] = ask.options(
                num_cpus=0, max_retries=config.retries, name="tfrec: versions", scheduling_strategy=there
            ).remote()
    ours = versions()
    for (host, _), answer in asked.items():
        try:
            theirs = ray.get(answer, timeout=config.timeout)
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue  # the machine has just gone
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise Unavailable(f"The Ray worker on {host} cannot run tfrec: {reason}") from None
        other = [f"{name} {version}" for name, version in theirs.items() if version != ours[name]]
        if other:
            expected = ", ".join(f"{name} {ours[name]}" for name in theirs if theirs[name] != ours[name])
            raise Unavailable(
                f"The Ray worker on {host} has {', '.join(other)}; this process has {expected}. Install the same "
                "versions on all machines."
            )


class RayWorkers:
    """`Workers` that are tasks of Ray. A task whose worker or machine is lost runs again somewhere else."""

    def __init__(self, config: ClusterConfig) -> None:
        self.count = config.workers
        self._config = config
        self._ray = ray_module()

    def map(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], label: str) -> list[T]:
        """As for `Workers`."""
        options = {
            "num_cpus": self._config.cpus_per_worker,
            "max_retries": self._config.retries,
            "retry_exceptions": [OSError],
            "name": f"tfrec: {label}",
        }
        remote = self._ray.remote(function).options(**options)
        tasks = [remote.remote(*call) for call in calls]
        place = {task: number for number, task in enumerate(tasks)}
        results: list[Any] = [None] * len(tasks)
        try:
            for task in track(self._as_finished(tasks), label, len(tasks)):
                results[place[task]] = self._result(task)
        except BaseException:
            for task in tasks:
                self._ray.cancel(task, force=True)
            raise
        return results

    def share(self, value: Any) -> Any:
        """As for `Workers`."""
        return self._ray.put(value)

    def _as_finished(self, tasks: Sequence[Any]) -> Iterator[Any]:
        waiting, last = list(tasks), time.monotonic()
        while waiting:
            done, waiting = self._ray.wait(waiting, timeout=_POLL)
            if done or _cores(self._ray) >= self._config.cpus_per_worker:
                last = time.monotonic()
            elif time.monotonic() - last > self._config.timeout:
                raise Unavailable(f"No machine of the cluster has been left for {self._config.timeout:g} s.")
            yield from done

    def _result(self, task: Any) -> Any:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TfrecError):
                raise error.cause from None
            raise
        except self._ray.exceptions.WorkerCrashedError as error:
            raise Unavailable(
                f"A worker died more than {self._config.retries} times (cluster.retries): {error}"
            ) from None
