"""`compare_runs`: evaluated runs side by side, the seeds of a model as repeats, as a table, a page and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.evaluation import compare_systems
from tfrec.files import read_json
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import forest

ALPHA = 0.05


def compare_runs(
    runs: Sequence[str | Path],
    *,
    metrics: Sequence[str] = ("ndcg@10", "recall@10"),
    correction: str = "holm",
    resamples: int = 2000,
    flips: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compares evaluated runs; the first is the baseline (see `compare_systems` for the columns).

    Runs whose configurations differ in nothing but `training.seed` are the repeats of one system, named after the first
    of them.

    Args:
        runs: Folders that `tfrec train` wrote and `tfrec evaluate` measured, on the same data and split.
        metrics, correction, resamples, flips, seed: As in `compare_systems`.

    Raises:
        InvalidInput: a run that was not evaluated, or another protocol (split, data, exclude_seen) or users.
    """
    folders = [Path(run) for run in runs]
    repeated = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if repeated:
        raise InvalidInput(f"Expected each run once, received {repeated[0]} more than once.")
    protocols = {folder: _protocol(folder) for folder in folders}
    for folder, protocol in protocols.items():
        for key, value in protocols[folders[0]].items():
            if protocol[key] != value:
                raise InvalidInput(
                    f"{folder} was evaluated with {key} {protocol[key]!r}, {folders[0]} with {value!r}: the numbers "
                    "cannot be compared. Evaluate both in the same way."
                )
    systems: dict[str, list[pl.DataFrame]] = {}
    for name, members in _systems(folders).items():
        systems[name] = [pl.read_parquet(folder / "predictions.parquet") for folder in members]
    return compare_systems(systems, metrics=metrics, correction=correction, resamples=resamples, flips=flips, seed=seed)


def _protocol(folder: Path) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file() or not (folder / "predictions.parquet").is_file():
        raise InvalidInput(
            f"{folder} has no metrics.json with predictions.parquet. Run: tfrec evaluate --run {folder}."
        )
    found = read_json(folder / "metrics.json").get("protocol", {})
    if "part" not in found:
        raise InvalidInput(f"{folder} was not measured by ranking (a sigmoid head?); only rankings can be compared.")
    return {key: found.get(key) for key in ("split", "part", "ranking", "exclude_seen", "targets")}


def _systems(folders: Sequence[Path]) -> dict[str, list[Path]]:
    names: dict[str, str] = {}
    found: dict[str, list[Path]] = {}
    for folder in folders:
        config = RunConfig.load(folder / "config.yaml").model_dump()
        config["training"].pop("seed")
        key = json.dumps(config, sort_keys=True)
        if key not in names:
            names[key] = folder.name if folder.name not in found else str(folder)
            found[names[key]] = []
        found[names[key]].append(folder)
    return found


def comparison_report(table: pl.DataFrame) -> str:
    """A self-contained page: a forest plot for each metric, the verdicts in words, and the table."""
    sections = []
    for metric in table["metric"].unique(maintain_order=True):
        part = table.filter(pl.col("metric") == metric)
        rows = [(row["system"], row["difference"], row["low"], row["high"]) for row in part.to_dicts()]
        words = [verdict(row) for row in part.to_dicts()]
        picture = forest(f"{metric}: difference from {part['baseline'][0]}, 95% interval", rows)
        sections.append(Section(metric, words, figures=[picture]))
    method = (
        "Paired by user. Intervals: percentile bootstrap over users and seeds. p: sign-flip permutation over users; "
        "p_adjusted: corrected over the whole table. effect_size: mean over standard deviation of the differences."
    )
    sections.append(Section("All figures", [method], table.columns, table.rows()))
    return render_report("Comparison of runs", sections)


def verdict(row: dict[str, Any]) -> str:
    """One row of the table in words.

    Example:
        >>> row = {"system": "B", "baseline": "A", "metric": "ndcg@10", "difference": 0.01, "low": -0.01, "high": 0.03}
        >>> verdict({**row, "relative": 0.1, "p_adjusted": 0.4})
        'B and A cannot be told apart on ndcg@10: +0.0100 (-0.0100 to 0.0300), adjusted p 0.4.'
    """
    figures = f"{row['difference']:+.4f} ({row['low']:.4f} to {row['high']:.4f}), adjusted p {row['p_adjusted']:.2g}."
    if row["p_adjusted"] > ALPHA:
        return f"{row['system']} and {row['baseline']} cannot be told apart on {row['metric']}: {figures}"
    word = "better" if row["difference"] > 0 else "worse"
    caution = ""
    if row["low"] <= 0 <= row["high"]:
        caution = (
            " The interval, which also allows for other seeds, includes 0: train more seeds before you believe it."
        )
    return f"{row['system']} is {word} than {row['baseline']} on {row['metric']}: {figures}{caution}"
