"""How far a run generalises: slices, windows of time and other data in one table, for its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfrec.evaluation.standing import METRIC
from tfrec.files.stored_folder import read_object
from tfrec.reporting.html_page import Section
from tfrec.workflows.time_windows import measured_windows, window_rows

OTHER_DATA = "metrics_on_"
"""Metrics files in a run's folder whose names begin so, as in `metrics_on_office.json`, are of other data."""

_ACROSS = {"popularity": "popularity of the target", "transition": "step to the target", "time": "time of the target"}
_Row = tuple[str, str, Mapping[str, Any]]


def generalisation_section(metrics: Mapping[str, Any], folder: Path, data: Path, cure: str) -> list[Section]:
    """A table of the run's NDCG@10 beside that of its best untrained baseline; empty without a comparison.

    Args:
        metrics: Content of a metrics file.
        folder: The run's folder, which may hold metrics on other data (`OTHER_DATA`).
        data: The prepared data; of a fold, the runs of the other folds beside the run are read too.
        cure: What to do about a file that is damaged.
    """
    if "standing" not in metrics:
        return []
    best = metrics["standing"]["baseline"]
    rows = [_cells(*row, best) for row in _slices(metrics)]
    rows += window_rows(measured_windows(folder, data, metrics["protocol"].get("part", ""), cure))
    for file in sorted(folder.glob(f"{OTHER_DATA}*.json")):
        other = read_object(file, {}, cure)
        if "standing" in other:
            rows.append(_cells("other data", file.stem.removeprefix(OTHER_DATA), _headline(other), "best"))
    words = (
        f"Beside {best}, the best untrained baseline; in other windows of time and on other data, beside the best one "
        "there. A slice says what it is worth only with enough users."
    )
    return [
        Section("Generalisation", [words], ["across", "slice", "users", "this run", "baseline", "difference"], rows)
    ]


def _slices(metrics: Mapping[str, Any]) -> Iterator[_Row]:
    """What, which slice of it, and its metrics, with those of baselines as `ndcg@10_NAME`."""
    yield "all", "all users", {**_headline(metrics), f"{METRIC}_{metrics['standing']['baseline']}": _best(metrics)}
    slices = metrics.get("slices", {})
    for what, groupings in (("target", slices.get("targets", {})), ("user", slices.get("users", {}))):
        for grouping, groups in groupings.items():
            for name, row in groups.items():
                yield _ACROSS.get(grouping, f"{grouping} of the {what}"), name, row
    if "cold_users" in slices:
        yield "cold start", "users without a history", slices["cold_users"]
    if "cold_items" in slices:
        cold = slices["cold_items"]
        yield "cold start", "new items, among all", cold
        yield "cold start", "new items, among themselves", {**cold, METRIC: cold.get("among_cold")}


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {"users": metrics["users"], METRIC: metrics[METRIC], f"{METRIC}_best": _best(metrics)}


def _best(metrics: Mapping[str, Any]) -> Any:
    return metrics["baselines"].get(metrics["standing"]["baseline"], {}).get(METRIC)


def _cells(across: str, name: str, row: Mapping[str, Any], baseline: str) -> list[object]:
    ours, theirs = row.get(METRIC), row.get(f"{METRIC}_{baseline}")
    difference = "–" if ours is None or theirs is None else f"{ours - theirs:+.4f}"
    return [
        across,
        name,
        row["users"],
        *("–" if value is None else f"{value:.4f}" for value in (ours, theirs)),
        difference,
    ]
