"""`tfrec label`: say which versions TF Serving serves, and under which names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def label(
    folder: Annotated[Path, typer.Argument(metavar="saved_models/NAME", help="A model's folder.")],
    stable: Annotated[int | None, typer.Option(help="Version that most clients ask for.")] = None,
    canary: Annotated[int | None, typer.Option(help="Version on trial.")] = None,
) -> None:
    """Pin versions as stable and canary (rollout, rollback); without options, serve the newest again."""
    from tfrec.serving.exporting.server_config_files import label_versions

    given = {"stable": stable, "canary": canary}
    labels = {name: version for name, version in given.items() if version is not None}
    typer.echo(f"Wrote {label_versions(folder, labels)}; a server that polls it follows within a minute.")
