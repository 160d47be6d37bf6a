"""What an encoder folder says about itself, without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfrec.encoders.folder_layout import ABOUT
from tfrec.errors import InvalidInput
from tfrec.files import read_json


def describe_encoder(folder: str | Path) -> dict[str, Any]:
    """What `import_encoder` wrote down: dim, max_seq_length, pooling, normalised, backbone, sha256, source.

    Raises:
        InvalidInput: the folder is none of an encoder.
    """
    described = Path(folder) / ABOUT
    if not described.is_file():
        raise InvalidInput(
            f"{folder} is not an encoder folder: there is no {described.name}. Make one with `tfrec encoder import`."
        )
    about: dict[str, Any] = read_json(described)
    return about
