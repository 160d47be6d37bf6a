"""`tfrec check`: loads and calls an export the way TensorFlow Serving does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def check(
    folder: Annotated[Path, typer.Argument(metavar="saved_models/NAME/N", help="Version folder of an export.")],
    tensorflow: Annotated[
        str | None,
        typer.Option(
            metavar="2.20", help="Use the libraries of the oldest supported server (a 320 MB download, once)."
        ),
    ] = None,
) -> None:
    """Load an export without tfrec, call it, and compare its answers with those stored at export."""
    load_tensorflow()
    import tfrec

    typer.echo(str(tfrec.check(folder, tensorflow=tensorflow)))
