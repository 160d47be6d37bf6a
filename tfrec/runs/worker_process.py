"""One of several processes that train one run together: who writes it, and where each goes on after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.runs.partial_run import PartialRun
from tfrec.training.run_layout import MANIFEST_FILE


def training_job(data: Sequence[Path], out: Path, config: RunConfig, *, resume: bool, force: bool) -> dict[str, Any]:
    """What each process has to know, as plain values. With `force`, an interrupted run that is in the way goes.

    Args:
        data: Folders of prepared data, on storage that all machines share.
        out: The run's folder, likewise.
        config: What to train; each process trains it with `training.strategy=multi_worker`.
        resume, force: As for `train`.

    Raises:
        InvalidInput: Several processes cannot train this, or there is an interrupted run.
    """
    _refuse_what_one_process_does(config)
    partial = PartialRun(out)
    if not resume:
        partial.refuse_existing(force)
        if partial.folder.exists():
            partial.delete()
    alone = config.with_values({"cluster.engine": "none", "training.strategy": "multi_worker"})
    return {
        "data": [str(folder.absolute()) for folder in data],
        "out": str(out.absolute()),
        "config": alone.model_dump(mode="json"),
        "resume": resume,
        "force": force,
        "replaced": _written(out),
    }


def _refuse_what_one_process_does(config: RunConfig) -> None:
    if config.model.kind != "next-item" or config.encoder.trainable or config.privacy.on:
        raise InvalidInput(
            "cluster.engine=ray trains next-item models whose encoder is frozen, without privacy. "
            f"Received model.kind={config.model.kind}, encoder.trainable={config.encoder.trainable}, "
            f"privacy {'on' if config.privacy.on else 'off'}. Leave cluster.engine out."
        )
    if config.training.time_budget is not None:
        raise InvalidInput(
            "training.time_budget: several processes would not all stop after the same epoch. Leave it out, and set "
            "training.epochs."
        )
    fewest, workers = config.cluster.min_workers, config.cluster.workers
    if fewest is not None and fewest > workers:
        raise InvalidInput(f"Expected cluster.min_workers of at most cluster.workers={workers}, received {fewest}.")


def train_in_worker(train: Callable[..., Any], job: dict[str, Any]) -> None:
    """Trains the part of one process, which TF_CONFIG numbers. The first writes the run; the others what nobody keeps.

    It goes on from the newest checkpoint of the first process wherever there is one: all processes begin again when one
    of them has died.

    Args:
        train: The function `train`.
        job: Of `training_job`.
    """
    out, config = Path(job["out"]), RunConfig.from_dict(job["config"])
    partial = PartialRun(out)
    if _written(out) != job["replaced"] and not partial.folder.exists():
        return  # it was finished when another process died
    resume = job["resume"] or partial.can_resume
    if task_index() == 0:
        if not resume and partial.folder.exists():  # of the first process before it died, without a checkpoint
            partial.delete()
        train(job["data"], out, config, resume=resume, force=job["force"])
        return
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / out.name
        if resume:  # the first cannot go on without this process, so nothing changes there meanwhile
            shutil.copytree(partial.folder, PartialRun(own).folder)
        train(job["data"], own, config.with_values({"tracking.mlflow": False}), resume=resume)


def task_index() -> int:
    """The number of this process among those of TF_CONFIG; 0 without."""
    task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
    return int(task.get("index", 0))


def _written(out: Path) -> str | None:
    """What tells a run from one that is written later in its place."""
    manifest = out / MANIFEST_FILE
    return str(manifest.stat().st_mtime_ns) if manifest.is_file() else None
