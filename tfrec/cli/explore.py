"""`tfrec explore`: a page to explore a trained run in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def explore(
    run: Annotated[list[Path], typer.Option("--run", help="Run folder; give two to compare them.")],
    data: Annotated[Path | None, typer.Option("--data", help="Prepared data, to show its users.")] = None,
    images: Annotated[
        Path,
        typer.Option("--images", help="Folder of the image files that the catalogue names; others are not opened."),
    ] = Path("."),
    host: Annotated[str, typer.Option(help="Address to listen on; there is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8600,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Explore a run: recommendations and the reasons for them, new items, two runs side by side."""
    load_tensorflow()
    from tfrec.workflows.explore.open_page import explore as open_page

    open_page(run, data, images=images, host=host, port=port, browser=browser)
