"""`tfrec quickstart`: every step from log to served model, on MovieLens-100K."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def quickstart(
    folder: Annotated[Path, typer.Option(help="Folder in which runs/ and saved_models/ are written.")] = Path("."),
    epochs: Annotated[int | None, typer.Option(help="Training epochs. Fewer are quicker, with a worse model.")] = None,
) -> None:
    """Fetch MovieLens-100K, train a recommender, evaluate it and export it for serving."""
    load_tensorflow(pool=True)
    from tfrec.workflows.quickstart import quickstart as run_quickstart

    run_quickstart(folder, epochs=epochs)
