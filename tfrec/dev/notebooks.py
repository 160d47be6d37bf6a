"""Executes the tutorials at full parameters and stores them with their outputs: `python -m tfrec.dev notebooks`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def store(names: Sequence[str] = ()) -> int:
    """Writes NAME.ipynb beside each NAME.py, executed in a temporary folder, and prints how long each took.

    Args:
        names: Names or their beginnings, e.g. "03"; all notebooks when empty.

    Returns:
        0. A cell that fails raises, and the stored notebook stays as it was.
    """
    import jupytext
    from nbclient import NotebookClient

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    for script in sorted(FOLDER.glob("*.py")):
        if names and not script.stem.startswith(tuple(names)):
            continue
        started = time.monotonic()
        notebook = jupytext.read(script)
        with tempfile.TemporaryDirectory() as work:
            options = {"timeout": 1800, "kernel_name": "python3", "resources": {"metadata": {"path": work}}}
            NotebookClient(notebook, **options).execute()
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number}"  # so that storing again changes only what changed
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        notebook.metadata.pop("language_info", None)
        jupytext.write(notebook, script.with_suffix(".ipynb"), fmt="ipynb")
        print(f"{script.stem}: {time.monotonic() - started:.0f} s", flush=True)
    return 0
