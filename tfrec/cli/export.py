"""`tfrec export`: writes a run as a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Force, Ranker, RunFolder


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Model folder, e.g. saved_models/shop; the version is written below it.")],
    version: Annotated[int | None, typer.Option(help="Version number. Default: one more than the highest.")] = None,
    ranker: Ranker = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Write a run as the next version of a served model."""
    from tfrec.errors import InvalidInput

    if version is not None and version < 1:
        raise InvalidInput(f"--version must be at least 1, received {version}.")
    load_tensorflow()
    from tfrec.runs import Run
    from tfrec.serving.exporting.export import export as export_run

    trained, second = Run.load(run), Run.load(ranker) if ranker else None
    trained.config = trained.config.with_values(assignments or [])
    written = export_run(trained, out, version=version, force=force, ranker=second)
    typer.echo(f"Wrote {written}; try it with: tfrec check {written}")
