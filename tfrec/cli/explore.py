"""`tfrec explore`: a page to explore a trained run in the browser."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def explore(
    run: Annotated[list[Path], typer.Option("--run", help="Run folder; give two to compare them.")],
    data: Annotated[Path | None, typer.Option("--data", help="Prepared data, to show its users.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; there is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8600,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Explore a run: recommendations and the reasons for them, new items, two runs side by side."""
    from tfrec.data import PreparedDataset
    from tfrec.errors import InvalidInput, Unavailable

    if importlib.util.find_spec("streamlit") is None:
        raise Unavailable("The page needs the extra `serve`: pip install 'tfrec-bert[serve]'.")
    load_tensorflow()
    from tfrec.runs import Run

    runs = [Run.load(path) for path in run]
    for loaded in runs:
        if loaded.kind != "next-item":
            raise InvalidInput(f"Expected next-item runs, {loaded.path} is of the kind {loaded.kind}.")
    if data is not None:
        known = PreparedDataset.load(data)
        if list(known.item_ids) != list(runs[0].item_ids):
            raise InvalidInput(f"{data} has another catalogue than {run[0]}. Use the data the run was trained on.")
    page = Path(__file__).parents[1] / "workflows" / "explore" / "streamlit_page.py"
    settings = {
        "server.address": host,
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    command += [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command += ["--", *(part for path in run for part in ("--run", str(path)))]
    command += ["--data", str(data)] if data is not None else []
    typer.echo(f"The page is at http://{host}:{port}; stop it with Ctrl-C.")
    try:
        code = subprocess.run(command, check=False, env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}).returncode
    except KeyboardInterrupt:
        return
    if code:
        raise Unavailable(f"The page stopped with exit code {code}; its messages are above. Is port {port} free?")
