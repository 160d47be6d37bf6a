"""`tfrec compare`: compares evaluated runs by paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.report_option import check_page
from tfrec.cli.shared_options import Force


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs; the first is the baseline.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to compare; may be repeated. Default: ndcg@10 and recall@10.")
    ] = None,
    correction: Annotated[str, typer.Option(help="Correction of p-values: holm, benjamini-hochberg or none.")] = "holm",
    out: Annotated[Path | None, typer.Option(help="Report to write (.html).")] = None,
    table: Annotated[Path | None, typer.Option(help="Table to write (.csv, .parquet or .jsonl).")] = None,
    force: Force = False,
) -> None:
    """Say which runs differ, by paired tests over users. Runs that differ only in their seed are repeats."""
    from tfrec.files import write_text
    from tfrec.reporting.table_files import check_output, write_frame
    from tfrec.workflows.compare_runs import compare_runs, comparison_report, verdict

    check_page(out, force)
    if table is not None:
        check_output(table, force)
    comparison = compare_runs(runs, metrics=metric or ("ndcg@10", "recall@10"), correction=correction)
    for row in comparison.to_dicts():
        typer.echo(verdict(row))
    if out is not None:
        write_text(out, comparison_report(comparison), replace=force)
        typer.echo(f"Wrote {out}")
    if table is not None:
        write_frame(comparison, table, force)
        typer.echo(f"Wrote {table}")
