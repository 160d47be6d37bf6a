"""`tfrec check`: call an export the way TensorFlow Serving does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(folder: Annotated[Path, typer.Argument(metavar="saved_models/NAME/N", help="A version folder.")]) -> None:
    """Load an export without our Python, call it, and compare its numbers with ours."""
    from tfrec.serving.check import check as check_export

    typer.echo(str(check_export(folder)))
