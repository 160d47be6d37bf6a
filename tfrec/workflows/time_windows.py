"""A run beside the runs of the other folds of its data: how it does in one window of time after the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfrec.data.dataset import MANIFEST_FILE
from tfrec.data.prepare_folds import FOLDS_FILE
from tfrec.evaluation.standing import METRIC
from tfrec.files.stored_folder import read_object

_METRICS_FILE = "metrics.json"


class Window(NamedTuple):
    """A fold and the metrics of the run that was trained on it.

    Attributes:
        name: The fold's folder, and the day on which its test window begins.
        metrics: Content of the run's metrics.json, with a `standing`.
    """

    name: str
    metrics: Mapping[str, Any]


def measured_windows(run: Path, data: Path, part: str, cure: str) -> list[Window]:
    """The folds that have been measured, oldest first; none where the data is no fold of `prepare_folds`.

    A fold's run is the one beside `run` whose manifest names the fold's fingerprint, so folders may have any names.

    Args:
        run: The folder of a run, with those of the other folds beside it.
        data: The prepared data that it was evaluated on.
        part: "valid" or "test"; runs that were measured on the other one are left out.
        cure: What to do about a file that is damaged.
    """
    if not (data.resolve().parent / FOLDS_FILE).is_file():
        return []
    measured = {}
    for file in sorted(run.resolve().parent.glob(f"*/{_METRICS_FILE}")):
        metrics = read_object(file, {}, cure)
        if "standing" in metrics and metrics["protocol"].get("part") == part:
            measured[read_object(file.with_name(MANIFEST_FILE), {}, cure).get("data")] = metrics
    folds = sorted(data.resolve().parent.glob(f"fold-*/{MANIFEST_FILE}"), key=lambda file: _number(file.parent))
    manifests = {file.parent.name: read_object(file, {"fingerprint": str, "cuts": dict}, cure) for file in folds}
    return [
        Window(f"{name}, from {_day(manifest['cuts'][part])}", measured[manifest["fingerprint"]])
        for name, manifest in manifests.items()
        if manifest["fingerprint"] in measured
    ]


def window_rows(windows: list[Window]) -> list[list[object]]:
    """Cells of the table of generalisation: each window beside its best untrained baseline, and their mean.

    Intervals of a window are over its users; the error of the mean is over windows.
    """
    if len(windows) < 2:
        return []
    rows: list[list[object]] = []
    values = []
    for name, metrics in windows:
        found = metrics["standing"]
        ours, theirs = metrics[METRIC], metrics["baselines"][found["baseline"]][METRIC]
        low, high = metrics["intervals"][METRIC]
        error = "" if found["standard_error"] is None else f" ± {found['standard_error']:.4f}"
        rows.append(
            [
                "time",
                name,
                metrics["users"],
                f"{ours:.4f} ({low:.4f} to {high:.4f})",
                f"{theirs:.4f} {found['baseline']}",
                f"{found['difference']:+.4f}{error}",
            ]
        )
        values.append((ours, theirs, ours - theirs))
    (ours, theirs, difference), errors = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / len(values) ** 0.5
    spread = [f"{ours:.4f} ± {errors[0]:.4f}", f"{theirs:.4f}", f"{difference:+.4f} ± {errors[2]:.4f}"]
    return [*rows, ["time", f"mean of {len(windows)} folds", sum(each.metrics["users"] for each in windows), *spread]]


def _number(fold: Path) -> int:
    return int(fold.name.removeprefix("fold-"))


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()
