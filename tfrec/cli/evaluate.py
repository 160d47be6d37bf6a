"""`tfrec evaluate`: measures a run and the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.report_option import check_page
from tfrec.cli.shared_options import Assignments, Data, Ranker, RunFolder


def evaluate(
    run: RunFolder,
    data: Data,
    split: Annotated[Literal["valid", "test"], typer.Option(help="Split whose targets are predicted.")] = "test",
    ranker: Ranker = None,
    out: Annotated[
        Path | None, typer.Option(help="Metrics file to write. Default: metrics.json in the run folder.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Report to write (.html).")] = None,
    trained_baselines: Annotated[
        bool,
        typer.Option("--trained-baselines", help="Also fit EASE and ALS as baselines (needs the extra `baselines`)."),
    ] = False,
    assignments: Assignments = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing report.")] = False,
) -> None:
    """Measure a run and the baselines; ranking metrics are over the whole catalogue."""
    check_page(report, force, "--report")
    load_tensorflow(pool=True)
    import tfrec
    from tfrec.workflows.console_tables import print_metrics

    trained = tfrec.load_run(run).with_values(assignments) if assignments else run
    metrics = tfrec.evaluate(trained, data, split, out, trained_baselines=trained_baselines, ranker=ranker)
    print_metrics(metrics)
    typer.echo(f"Wrote {out or run / 'metrics.json'}")
    if report is not None:
        from tfrec.workflows.run_report import write_run_report

        write_run_report(report, run, data, out, force=force)
        typer.echo(f"Wrote {report}")
