"""Compares evaluated runs: `compare_runs` makes the table, `comparison_report` the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.evaluation import compare_systems
from tfrec.files.stored_folder import read_object, read_table
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import forest

_CURE = "Evaluate the run again."
ALPHA = 0.05
"""Significance level of the verdicts, by convention."""


def compare_runs(
    runs: Sequence[str | Path],
    *,
    metrics: Sequence[str] = ("ndcg@10", "recall@10"),
    correction: str = "holm",
    resamples: int = 2000,
    flips: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compares evaluated runs with the first of them, paired by user.

    Runs whose configurations differ only in `training.seed` count as repeats of one system, which is named after the
    first of them.

    Args:
        runs: Run folders, evaluated on the same data and split. The first is the baseline.
        metrics: Names of ranking metrics, e.g. "ndcg@10".
        correction: Correction of the p-values: "holm", "benjamini-hochberg" or "none".
        resamples: Bootstrap resamples for the intervals.
        flips: Sign flips for the p-values.
        seed: Seed of both.

    Returns:
        A row for each metric and system, with the columns of `compare_systems`.

    Raises:
        InvalidInput: a run was not evaluated, or two were evaluated with another split, protocol or other users.
    """
    folders = [Path(run) for run in runs]
    repeated = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if repeated:
        raise InvalidInput(f"Expected each run once, received {repeated[0]} more than once. Leave the repetition out.")
    protocols = {folder: _protocol(folder) for folder in folders}
    for folder, protocol in protocols.items():
        for key, value in protocols[folders[0]].items():
            if protocol[key] != value:
                raise InvalidInput(
                    f"{folder} was evaluated with {key} {protocol[key]!r}, {folders[0]} with {value!r}: these "
                    "figures cannot be compared. Evaluate both in the same way."
                )
    systems: dict[str, list[pl.DataFrame]] = {}
    for name, members in _group_seeds(folders).items():
        systems[name] = [read_table(folder / "predictions.parquet", _CURE) for folder in members]
    return compare_systems(systems, metrics=metrics, correction=correction, resamples=resamples, flips=flips, seed=seed)


def _protocol(folder: Path) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file() or not (folder / "predictions.parquet").is_file():
        raise InvalidInput(
            f"{folder} has no metrics.json with predictions.parquet. Run: tfrec evaluate --run {folder}."
        )
    protocol = read_object(folder / "metrics.json", {}, _CURE).get("protocol") or {}
    if "part" not in protocol:
        raise InvalidInput(f"{folder} has no ranking metrics (a sigmoid head?). Only runs that rank can be compared.")
    return {key: protocol.get(key) for key in ("split", "part", "ranking", "exclude_seen", "targets")}


def _group_seeds(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Run folders by system: those whose configurations differ only in the seed."""
    names: dict[str, str] = {}
    systems: dict[str, list[Path]] = {}
    for folder in folders:
        config = RunConfig.load(folder / "config.yaml").model_dump(mode="json")
        config["training"].pop("seed")
        key = json.dumps(config, sort_keys=True)
        if key not in names:
            names[key] = folder.name if folder.name not in systems else str(folder)
            systems[names[key]] = []
        systems[names[key]].append(folder)
    return systems


def comparison_report(table: pl.DataFrame) -> str:
    """A self-contained HTML page with a forest plot and verdicts for each metric, and the whole table."""
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
    """A row of the comparison table in words.

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
        caution = " The interval, which also covers variation between seeds, includes 0: train more seeds to be sure."
    return f"{row['system']} is {word} than {row['baseline']} on {row['metric']}: {figures}{caution}"
