"""`tfrec check`: call an export the way TensorFlow Serving does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def check(
    folder: Annotated[Path, typer.Argument(metavar="saved_models/NAME/N", help="A version folder.")],
    tensorflow: Annotated[
        str | None, typer.Option(metavar="2.20", help="Load it with the oldest server's libraries (320 MB, once).")
    ] = None,
) -> None:
    """Load an export without our Python, call it, and compare its numbers with ours."""
    load_tensorflow()
    from tfrec.serving.checking.check import check as check_export

    typer.echo(str(check_export(folder, tensorflow=tensorflow)))
