"""`tfrec export`: writes a run as a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Force, Ranker, RunFolder


class ExportFormat(StrEnum):
    """What `--format` takes."""

    SAVED_MODEL = "saved-model"
    LITERT = "litert"
    LITERT_INT8 = "litert-int8"


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Model folder, e.g. saved_models/shop; the version is written below it.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Version number. Default: one more than the highest.")
    ] = None,
    ranker: Ranker = None,
    assignments: Assignments = None,
    format: Annotated[
        ExportFormat,
        typer.Option(help="saved-model: for TensorFlow Serving; litert, litert-int8: for devices, in --out itself."),
    ] = ExportFormat.SAVED_MODEL,
    force: Force = False,
) -> None:
    """Write a run as the next version of a served model."""
    load_tensorflow()
    import tfrec

    trained = tfrec.load_run(run).with_values(assignments or [])
    written = tfrec.export(trained, out, version=version, force=force, ranker=ranker, format=format.value)
    typer.echo(f"Wrote {written}; try it with: tfrec check {written}")
