"""`tfrec compare`: evaluated runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.report_option import check_page
from tfrec.cli.shared_options import Force


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs; the first is the baseline.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Such as ndcg@10; may be repeated. Default: ndcg@10, recall@10.")
    ] = None,
    correction: Annotated[str, typer.Option(help="holm, benjamini-hochberg or none.")] = "holm",
    out: Annotated[Path | None, typer.Option(help="Page to write: .html.")] = None,
    table: Annotated[Path | None, typer.Option(help="Table to write: .csv, .parquet or .jsonl.")] = None,
    force: Force = False,
) -> None:
    """Say which runs differ: paired tests over users; runs that differ only in their seed are repeats."""
    from tfrec.files import write_text
    from tfrec.runs.recommend import check_output, write_frame
    from tfrec.workflows.compare_runs import compare_runs, comparison_report, verdict

    check_page(out, force)
    if table is not None:
        check_output(table, force)
    found = compare_runs(runs, metrics=metric or ("ndcg@10", "recall@10"), correction=correction)
    for row in found.to_dicts():
        typer.echo(verdict(row))
    if out is not None:
        write_text(out, comparison_report(found))
        typer.echo(f"Wrote {out}")
    if table is not None:
        write_frame(found, table)
        typer.echo(f"Wrote {table}")
