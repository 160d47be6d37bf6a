"""`tfrec index`: exports a run with an approximate index or with new items, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Force, RunFolder

app = typer.Typer(no_args_is_help=True, help="Export a run with an approximate index or with new items.")

Out = Annotated[Path, typer.Option(help="Model folder, e.g. saved_models/shop; the version is written below it.")]
Version = Annotated[int | None, typer.Option(min=1, help="Version number. Default: one more than the highest.")]
MeasureData = Annotated[
    Path | None,
    typer.Option("--data", help="Prepared data whose histories measure the index. Default: histories of one item."),
]


@app.command("build")
def build(
    run: RunFolder,
    out: Out,
    kind: Annotated[str, typer.Option("--index", help="Kind of index: int8, ivf or exact.")] = "ivf",
    data: MeasureData = None,
    assignments: Assignments = None,
    version: Version = None,
    force: Force = False,
) -> None:
    """Write a version with an index and print its recall against the exact scan.

    If the recall is below export.index_recall, nothing is written and the exit code is 2.
    """
    _export(run, None, out, [*(assignments or []), f"export.index={kind}"], data, version, force)


@app.command("add")
def add(
    run: RunFolder,
    items: Annotated[
        str, typer.Option(help="Items, as `prepare` reads them; those that the run already knows are ignored.")
    ],
    out: Out,
    data: MeasureData = None,
    assignments: Assignments = None,
    version: Version = None,
    force: Force = False,
) -> None:
    """Write a version with new items, which are known by their text alone."""
    _export(run, items, out, assignments or [], data, version, force)


def _export(
    run: Path,
    items: str | None,
    out: Path,
    assignments: list[str],
    data: Path | None,
    version: int | None,
    force: bool,
) -> None:
    load_tensorflow()
    import tfrec
    from tfrec.files import read_json
    from tfrec.serving import IndexReport, with_new_items
    from tfrec.serving.saved_model.guarded_export import EXPORT_FILE

    trained, new = tfrec.load_run(run).with_values(assignments), list[str]()
    if items is not None:
        trained, new = with_new_items(trained, items)
    written = tfrec.export(trained, out, version=version, histories=data, force=force)
    about = read_json(written / EXPORT_FILE)["index"]
    if new:
        shown = ", ".join(new[:5]) + (", …" if len(new) > 5 else "")
        typer.echo(f"{len(new)} new items: {shown}")
    if about["kind"] != "exact":
        typer.echo(str(IndexReport(**about)))
    typer.echo(f"Wrote {written}; try it with: tfrec check {written}")
