"""`tfrec quickstart`: the whole way on MovieLens-100K."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def quickstart(
    folder: Annotated[Path, typer.Option(help="Where runs/ and saved_models/ go.")] = Path("."),
    epochs: Annotated[int | None, typer.Option(help="Fewer make it quicker and worse.")] = None,
) -> None:
    """From raw logs to a servable recommender on MovieLens-100K."""
    load_tensorflow(pool=True)
    from tfrec.workflows.quickstart import quickstart as run_quickstart

    run_quickstart(folder, epochs=epochs)
