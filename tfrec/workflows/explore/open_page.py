"""`explore`: serves the explorer page with Streamlit in a separate process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tfrec.data.dataset import load_dataset
from tfrec.errors import InvalidInput, Unavailable
from tfrec.models.family import Ability
from tfrec.models.registry import families_with, family_of
from tfrec.runs import load_run
from tfrec.workflows.explore.page_style import DARK, LIGHT

PAGE = Path(__file__).parent / "streamlit_page.py"


def explore(
    runs: Sequence[str | Path],
    data: str | Path | None = None,
    *,
    images: str | Path = ".",
    host: str = "127.0.0.1",
    port: int = 8600,
    browser: bool = True,
) -> None:
    """Serves the explorer page until Ctrl-C is pressed.

    Args:
        runs: Folders of next-item runs; with two or more, their lists can be compared.
        data: Folder of the prepared data that they were trained on, to show its users; None for none.
        images: Folder with the image files that the catalogue refers to; files outside it are never opened.
        host: Address to listen on; there is no authentication.
        port: int. Port of the page.
        browser: Whether to open the page in a browser.

    Raises:
        InvalidInput: A run is of a family that cannot be explored, or the data has another catalogue.
        Unavailable: Streamlit is not installed, or the page stopped with an error.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise Unavailable("The page needs the extra `serve`: pip install 'tfrec-bert[serve]'.")
    loaded = [load_run(path) for path in runs]
    for run in loaded:
        if not family_of(run.kind).can(Ability.EXPLORE, run.config):
            families = families_with(Ability.EXPLORE)
            raise InvalidInput(f"Expected {families} runs, but {run.path} is a {run.kind} run.")
    if data is not None:
        loaded[0].refuse_other_catalogue(load_dataset(data))
    print(f"The page is at http://{host}:{port}; stop it with Ctrl-C.")
    command = _command(_settings(host, port, browser), runs, data, images)
    try:
        code = subprocess.run(command, check=False, env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}).returncode
    except KeyboardInterrupt:
        return
    if code:
        raise Unavailable(f"The page stopped with exit code {code}; its messages are above. Is port {port} free?")


def _settings(host: str, port: int, browser: bool) -> dict[str, str]:
    return {
        "server.address": host,
        "server.port": str(port),
        "server.headless": str(not browser).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": LIGHT,
        "theme.dark.primaryColor": DARK,
    }


def _command(
    settings: dict[str, str], runs: Sequence[str | Path], data: str | Path | None, images: str | Path
) -> list[str]:
    command = [sys.executable, "-m", "streamlit", "run", str(PAGE)]
    command += [part for name, value in settings.items() for part in (f"--{name}", value)]
    command += ["--", *(part for run in runs for part in ("--run", str(run))), "--images", str(images)]
    return command + (["--data", str(data)] if data is not None else [])
