"""The one way to a SavedModel that is about to be loaded: its graph is inspected first."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tfrec.errors import InvalidInput
from tfrec.files.checksums import FileState, file_state
from tfrec.guard.servable_ops import read_saved_model
from tfrec.guard.unsafe_ops import refuse_unsafe


def guarded_model(folder: str | Path) -> Path:
    """The folder of a SavedModel whose graph does no harm, as far as `refuse_unsafe` can tell.

    TensorFlow's own loaders must be given nothing else. A graph is read again when its file has changed.

    Args:
        folder: Folder with `saved_model.pb`.

    Raises:
        InvalidInput: The folder has no SavedModel, or one that could do harm.
    """
    folder = Path(folder)
    graph = folder / "saved_model.pb"
    if not graph.is_file():
        raise InvalidInput(f"Expected a SavedModel (a folder with saved_model.pb) at {str(folder)!r}; found none.")
    _inspect(folder, file_state(graph))
    return folder


@lru_cache(maxsize=64)
def _inspect(folder: Path, state: FileState) -> None:
    refuse_unsafe(read_saved_model(folder), folder)
