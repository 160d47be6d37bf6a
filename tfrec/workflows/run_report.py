"""`run_report`: an evaluated run as a self-contained HTML page, made from the files of the run and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.errors import InvalidInput
from tfrec.evaluation.beyond_accuracy import padded_lists
from tfrec.evaluation.small_groups import FEWEST
from tfrec.evaluation.standing import score_weights_words, standing_words
from tfrec.files import check_output_file, write_text
from tfrec.files.stored_folder import read_object, read_table
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import bars, forest, lines
from tfrec.workflows.explanation_sections import explanation_sections
from tfrec.workflows.generalisation_section import generalisation_section

EXAMPLES = 4
"""Users shown as examples."""

SHOWN = 6
"""Items shown of each history and list."""

_CURE = "Evaluate the run again, or train it again."
_LONGEST_TEXT = 80
"""Characters shown of an item text."""


def run_report(run: str | Path, data: PreparedDataset | str | Path, metrics_file: str | Path | None = None) -> str:
    """Renders the report of a run that `tfrec evaluate` has measured.

    It shows metrics with intervals beside the baselines, learning curves, calibration (sigmoid heads), slices, coverage
    and popularity of the lists, example users, data quality, configuration and versions. It reads files only and does
    not load TensorFlow. The same files give the same bytes.

    Args:
        run: Run folder.
        data: Prepared data that the run was evaluated on, or its folder; for examples and data quality.
        metrics_file: Metrics file of the last evaluation; by default metrics.json of the run.

    Returns:
        The HTML page.

    Raises:
        InvalidInput: the run has no metrics.json.
    """
    folder, dataset = Path(run), load_dataset(data)
    file = Path(metrics_file) if metrics_file else folder / "metrics.json"
    if not file.is_file():
        raise InvalidInput(f"{folder} has no metrics.json. Measure it first: tfrec evaluate --run {folder}.")
    metrics = read_object(file, {"protocol": dict}, _CURE)
    manifest = read_object(folder / "manifest.json", {}, _CURE)
    sections = [_metrics(metrics, manifest), *_behaviours(metrics), *_learning(folder), *_calibration(metrics)]
    sections += generalisation_section(metrics, folder, dataset.path, _CURE)
    sections += _slices(metrics.get("slices", {}))
    predictions = folder / "predictions.parquet"
    if predictions.is_file() and "part" in metrics["protocol"] and "calibration" not in metrics:
        table, items = read_table(predictions, _CURE), read_table(folder / "items.parquet", _CURE)
        sections.append(_lists(table, items, metrics.get("beyond", {})))
        if FEWEST not in metrics["protocol"]:
            sections.append(_examples(table, items, dataset))
    sections += explanation_sections(folder, examples=FEWEST not in metrics["protocol"])
    sections += [_quality(dataset.report), *_setup(folder, manifest)]
    return render_report(f"Run {folder.name}", sections)


def write_run_report(
    path: str | Path,
    run: str | Path,
    data: PreparedDataset | str | Path,
    metrics_file: str | Path | None = None,
    *,
    force: bool = False,
) -> None:
    """Writes the page of `run_report`, and puts it beside the run's record in MLflow where there is one.

    Args:
        path: The .html file.
        run: The run's folder.
        data: The prepared data it was measured on, or its folder.
        metrics_file: What `evaluate` wrote last; metrics.json of the run by default.
        force: Replace `path`.

    Raises:
        InvalidInput: `path` exists, or the run has no metrics.json.
    """
    from tfrec.runs.mlflow_tracking import add_to_record

    check_output_file(path, force)
    write_text(path, run_report(run, data, metrics_file), replace=force)
    add_to_record(Path(run), Path(path))


def _metrics(metrics: Mapping[str, Any], manifest: Mapping[str, Any]) -> Section:
    bounds = metrics.get("intervals", {})
    names = [name for name, value in metrics.items() if isinstance(value, float)]
    baselines = metrics.get("baselines", {})
    rows = []
    for name in names:
        low, high = bounds.get(name, ("–", "–"))
        rows.append([name, metrics[name], low, high, *(values.get(name, "–") for values in baselines.values())])
    protocol = ", ".join(f"{key} {value}" for key, value in metrics["protocol"].items())
    picture = forest(
        "With 95% intervals over users",
        [(name, metrics[name], *bounds[name]) for name in names if name in bounds and "novelty" not in name],
    )
    counts = f"{metrics['users']:,} users, {metrics['items']:,} items."
    headers = ["metric", "this run", "low", "high", *baselines]
    words = [f"{counts} {protocol}."]
    words += [standing_words(metrics["standing"])] if "standing" in metrics else []
    words += [score_weights_words(manifest["score_weights"])] if "score_weights" in manifest else []
    return Section("Metrics", words, headers, rows, [picture] if bounds else [])


def _behaviours(metrics: Mapping[str, Any]) -> list[Section]:
    """A table and calibration curves of the heads of a click-ranker, beside popularity."""
    heads = metrics.get("behaviours", {})
    popularity = metrics.get("baselines", {}).get("popularity", {}).get("behaviours", {})
    names = ("auc", "log_loss", "log_loss_uncalibrated", "ece", "ece_uncalibrated")
    rows = [
        [head, values["positives"], *("–" if values[name] is None else values[name] for name in names),
         *(popularity.get(head, {}).get(name) or "–" for name in ("auc", "log_loss"))]
        for head, values in heads.items()
    ]  # fmt: skip
    headers = ["behaviour", "positives", *names, "auc of popularity", "log_loss of popularity"]
    curves = {
        head: [(row["probability"], row["positive_rate"]) for row in values["calibration"]]
        for head, values in heads.items()
    }
    if not heads:
        return []
    picture = lines("Positive rate over predicted probability", curves, "predicted probability", diagonal=True)
    return [Section("Behaviours", headers=headers, rows=rows, figures=[picture])]


def _learning(folder: Path) -> list[Section]:
    file = folder / "history.csv"
    if not file.is_file():
        return []
    history = read_table(file, _CURE)
    if "epoch" not in history.columns or not history.height:
        return []
    curves = {
        name: [(float(x), float(y)) for x, y in history.select("epoch", name).drop_nulls().iter_rows()]
        for name in history.columns
        if name not in ("epoch", "seconds") and history[name].dtype.is_numeric()
    }
    groups = {
        "Loss": {name: points for name, points in curves.items() if "loss" in name},
        "Validation": {name: points for name, points in curves.items() if "loss" not in name},
    }
    pictures = [lines(title, group, "epoch") for title, group in groups.items() if any(group.values())]
    return [Section("Learning curves", figures=pictures)] if pictures else []


def _calibration(metrics: Mapping[str, Any]) -> list[Section]:
    table = metrics.get("calibration")
    if not table:
        return []
    points = [(row["probability"], row["positive_rate"]) for row in table]
    picture = lines("Positive rate over predicted probability; dashed: perfect calibration", {"model": points},
                    "predicted probability", diagonal=True)  # fmt: skip
    rows = [list(row.values()) for row in table]
    return [Section("Calibration", headers=list(table[0]), rows=rows, figures=[picture])]


def _slices(slices: Mapping[str, Any]) -> list[Section]:
    sections = [
        _group_section(
            f"{what.capitalize()} by {grouping}",
            groups,
            slices.get("disparity", {}).get(grouping) if what == "users" else None,
        )
        for what in ("users", "targets")
        for grouping, groups in slices.get(what, {}).items()
    ]
    for name, rows in slices.get("exposure", {}).items():
        table = [[_cell(value) for value in row.values()] for row in rows]
        sections.append(Section(f"Exposure by {name}", headers=list(rows[0]), rows=table))
    cold = [[name, row["users"], row["ndcg@10"]] for name, row in slices.items() if name.startswith("cold")]
    return [*sections, *([Section("Cold slices", headers=["slice", "users", "ndcg@10"], rows=cold)] if cold else [])]


def _group_section(title: str, groups: Mapping[str, Any], disparity: Mapping[str, Any] | None) -> Section:
    """Metrics of each group, with those of the baselines (`ndcg@10_NAME`) where there are any."""
    found = dict.fromkeys(name for row in groups.values() for name in row)
    baselines = [name for name in found if name.startswith("ndcg@10_") and name != "ndcg@10_se"]
    metrics = ["ndcg@10", "recall@10", "mrr@10", *baselines]
    rows = [[name, row["users"], *(_cell(row.get(metric)) for metric in metrics)] for name, row in groups.items()]
    marks = []
    for name, row in groups.items():
        error, value = row.get("ndcg@10_se"), row["ndcg@10"]
        if error is not None and value is not None:
            marks.append((f"{name} ({row['users']:,})", value, value - 1.96 * error, value + 1.96 * error))
    pictures = [forest("ndcg@10 with 95% intervals", marks)] if marks else []
    headers = ["slice", "users", *(name.replace("@10_", "@10 of ") for name in metrics)]
    return Section(title, _group_gap(disparity), headers, rows, pictures)


def _group_gap(disparity: Mapping[str, Any] | None) -> list[str]:
    if not disparity or disparity["gap"] is None:
        return []
    error = disparity["gap_se"]
    return [
        f"Best: {disparity['best']}; worst: {disparity['worst']}; gap {disparity['gap']:.4f}"
        + (f" ± {1.96 * error:.4f}." if error is not None else ".")
        + (f" Too few users to compare: {', '.join(disparity['left_out'])}." if disparity["left_out"] else "")
    ]


def _lists(predictions: pl.DataFrame, items: pl.DataFrame, beyond: Mapping[str, Any]) -> Section:
    """Coverage by list length, and the share of list positions and of events for each tenth of the catalogue."""
    most = int(predictions["items"].list.len().to_numpy().max())
    table = padded_lists(predictions, max(most, 1))
    coverage = []
    for k in range(1, most + 1):
        shown = np.unique(table[:, :k])
        coverage.append((float(k), float((shown >= 0).sum() / items.height)))
    counts = items[schema.TRAIN_COUNT].to_numpy().astype(np.float64)
    order = np.argsort(-counts, kind="stable")
    top = table[:, :10]
    shown_times = np.bincount(top[top >= 0], minlength=items.height)[order]
    places, events = (
        [float(part.sum() / max(values.sum(), 1)) for part in np.array_split(values, min(10, items.height))]
        for values in (shown_times, counts[order])
    )
    labels = [f"tenth {place + 1} by popularity" for place in range(len(places))]
    pictures = [
        lines("Share of the catalogue that is in any list, by list length", {"coverage": coverage}, "items a list"),
        bars("Share of the positions of top-10 lists", list(zip(labels, places))),
        bars("Share of the training events", list(zip(labels, events))),
    ]
    rows = [[name, _cell(value)] for name, value in beyond.items()]
    return Section("The lists", headers=["metric", "value"], rows=rows, figures=pictures)


def _examples(predictions: pl.DataFrame, items: pl.DataFrame, dataset: PreparedDataset) -> Section:
    """Evenly spaced users: their history, the list recommended to them, and the targets with their ranks."""
    texts = [
        text[:_LONGEST_TEXT] or item
        for text, item in zip(items[schema.TEXT].to_list(), items[schema.ITEM_ID].to_list())
    ]
    histories = dataset.histories()
    place = {user: row for row, user in enumerate(histories.user_ids)}
    rows = []
    for at in np.unique(np.linspace(0, predictions.height - 1, min(EXAMPLES, predictions.height)).astype(int)):
        query = predictions.row(int(at), named=True)
        targets = set(query["targets"])
        row = place.get(query[schema.USER_ID])
        past = np.empty(0, np.int32) if row is None else histories.items[histories.row(row)]
        history = [texts[item] for item in past if item not in targets][-SHOWN:]
        listed = [texts[item] + (" ✓" if item in targets else "") for item in query["items"][:SHOWN]]
        ranks = ", ".join("not ranked" if rank is None else f"rank {rank:,}" for rank in query["ranks"][:SHOWN])
        took = "; ".join(texts[item] for item in query["targets"][:SHOWN])
        rows.append([query[schema.USER_ID], " · ".join(history), " · ".join(listed), f"{took} ({ranks})"])
    note = "Evenly spaced users of the evaluation. ✓ marks what the user took."
    return Section("Examples", [note], ["user", "history, newest last", "recommended, best first", "took"], rows)


def _quality(report: Mapping[str, Any]) -> Section:
    events, items = report["events"], report["items"]
    rows: list[Sequence[object]] = [["events read", events["read"]], ["events kept", events["kept"]]]
    rows += [[f"events dropped: {name}", rule["count"]] for name, rule in events["dropped"].items()]
    rows += [["users", report["users"]["kept"]], ["items", items["catalogue"]]]
    rows += [["items without text", items["without_text"]["count"]], ["items without events", items["without_events"]]]
    return Section("Data quality", list(report["notes"]), ["what", "count"], rows)


def _setup(folder: Path, manifest: Mapping[str, Any]) -> list[Section]:
    config = (folder / "config.yaml").read_text(encoding="utf-8", errors="replace").splitlines()
    facts = [[name, str(value)] for name, value in manifest.items() if not isinstance(value, (dict, list))]
    versions = [[name, str(value)] for name, value in manifest.get("versions", {}).items()]
    return [
        Section("Run", headers=["what", "value"], rows=facts),
        Section("Versions", headers=["package", "version"], rows=versions),
        Section("Configuration", headers=["config.yaml"], rows=[[line.replace(" ", "\u00a0")] for line in config]),
    ]


def _cell(value: object) -> object:
    return "–" if value is None else value
