"""`tfrec evaluate`: measures a run and the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.report_option import check_page
from tfrec.cli.shared_options import Data, Ranker, RunFolder


def evaluate(
    run: RunFolder,
    data: Data,
    split: Annotated[str, typer.Option(metavar="valid|test", help="Split whose targets are predicted.")] = "test",
    ranker: Ranker = None,
    out: Annotated[
        Path | None, typer.Option(help="Metrics file to write. Default: metrics.json in the run folder.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Report to write (.html).")] = None,
    trained_baselines: Annotated[
        bool,
        typer.Option("--trained-baselines", help="Also fit EASE and ALS as baselines (needs the extra `baselines`)."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing report.")] = False,
) -> None:
    """Measure a run and the baselines; ranking metrics are over the whole catalogue."""
    from tfrec.errors import InvalidInput

    if split not in ("valid", "test"):
        raise InvalidInput(f"--split must be valid or test, received {split!r}.")
    if out is not None and not out.parent.is_dir():
        raise InvalidInput(f"--out: the folder {out.parent} does not exist. Create it, or choose another folder.")
    check_page(report, force, "--report")
    from tfrec.data import PreparedDataset

    dataset = PreparedDataset.load(data)
    load_tensorflow(pool=True)
    from tfrec.runs import Run, evaluate_run
    from tfrec.workflows.console_tables import print_metrics

    second = Run.load(ranker) if ranker else None
    metrics = evaluate_run(
        Run.load(run), dataset, split=split, out=out, trained_baselines=trained_baselines, ranker=second
    )
    print_metrics(metrics)
    typer.echo(f"Wrote {out or run / 'metrics.json'}")
    if report is not None:
        from tfrec.files import write_text
        from tfrec.runs.mlflow_tracking import add_to_record
        from tfrec.workflows.run_report import run_report

        write_text(report, run_report(run, dataset, out))
        add_to_record(run, report)
        typer.echo(f"Wrote {report}")
