"""Executes the tutorials with their full parameters and stores the outputs: `python -m tfrec.dev notebooks`."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def store(names: Sequence[str] = ()) -> int:
    """Executes each NAME.py in a temporary folder, writes NAME.ipynb beside it and prints how long it took.

    Args:
        names: Beginnings of notebook names, e.g. "03"; empty for all notebooks.

    Returns:
        0. A cell that fails raises and leaves the stored notebook unchanged.
    """
    import jupytext
    from nbclient import NotebookClient

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    for script in sorted(FOLDER.glob("*.py")):
        if names and not script.stem.startswith(tuple(names)):
            continue
        started, used = time.monotonic(), _processor_seconds()
        notebook = jupytext.read(script)
        with tempfile.TemporaryDirectory() as work:
            options = {"timeout": 1800, "kernel_name": "python3", "resources": {"metadata": {"path": work}}}
            NotebookClient(notebook, **options).execute()
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number}"  # stable ids keep the diff small when a notebook is stored again
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        notebook.metadata.pop("language_info", None)
        jupytext.write(notebook, script.with_suffix(".ipynb"), fmt="ipynb")
        took, worked = time.monotonic() - started, _processor_seconds() - used
        print(f"{script.stem}: {took:.0f} s, {worked:.0f} s of one processor", flush=True)
    return 0


def _processor_seconds() -> float:
    """Processor time of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
