"""What an export passes before it is loaded: it is whole, harmless, servable, and its weights are numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tfrec.files.stored_folder import StoredFolder, read_object
from tfrec.guard.finite_weights import refuse_not_finite, saved_variables
from tfrec.guard.servable_ops import read_saved_model, refuse_unservable, used_ops
from tfrec.guard.unsafe_ops import refuse_unsafe
from tfrec.serving.version_folders import refuse_special_files

EXPORT_FILE: Final = "tfrec.json"
"""The manifest of an export."""
CURE: Final = "Copy the version again, or export it again."


def guarded_export(folder: Path) -> tuple[Any, list[str]]:
    """Reads and inspects a version folder.

    An export of tfrec must be as it was written. A SavedModel of another program has no manifest to compare with.

    Args:
        folder: Version folder, of any program.

    Returns:
        The SavedModel and its ops.

    Raises:
        InvalidInput: It is no SavedModel, has pipes or devices among its files, was changed, could do harm, has ops
            that TF Serving lacks, or a weight is not finite.
    """
    refuse_special_files(folder)
    saved_model = read_saved_model(folder)
    refuse_unsafe(saved_model, folder)
    ops = used_ops(folder)
    refuse_unservable(ops)
    if (folder / EXPORT_FILE).exists():
        StoredFolder(folder, read_object(folder / EXPORT_FILE, {}, CURE), CURE).check()
    refuse_not_finite(saved_variables(folder), folder, CURE)
    return saved_model, ops
