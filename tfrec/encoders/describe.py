"""`describe_encoder`: reads the metadata of an encoder folder without loading the encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfrec.encoders.folder_layout import ABOUT
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.files.stored_folder import FILES


def describe_encoder(folder: str | Path) -> dict[str, Any]:
    """The metadata of an encoder: dim, max_seq_length, pooling, normalised, backbone, sha256, source.

    Args:
        folder: A folder written by `import_encoder`.

    Raises:
        InvalidInput: The folder is not an encoder folder.
    """
    file = Path(folder) / ABOUT
    if not file.is_file():
        raise InvalidInput(
            f"{folder} is not an encoder folder: it has no {file.name}. Make one with `tfrec encoder import`."
        )
    about = read_json(file)
    if not isinstance(about, dict):
        raise InvalidInput(f"{file} must hold a JSON object, received a {type(about).__name__}. Import it again.")
    return {name: value for name, value in about.items() if name != FILES}
