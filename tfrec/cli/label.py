"""`tfrec label`: labels versions as stable and canary for TF Serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def label(
    folder: Annotated[Path, typer.Argument(metavar="saved_models/NAME", help="Model folder.")],
    stable: Annotated[int | None, typer.Option(help="Version for most clients.")] = None,
    canary: Annotated[int | None, typer.Option(help="Version on trial.")] = None,
) -> None:
    """Pin versions as stable and canary, to roll out and back. Without options, the newest version is served again."""
    from tfrec.serving.exporting.server_config_files import label_versions

    given = {"stable": stable, "canary": canary}
    labels = {name: version for name, version in given.items() if version is not None}
    typer.echo(f"Wrote {label_versions(folder, labels)}. A server that polls it follows within a minute.")
