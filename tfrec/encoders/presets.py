"""Encoders that can be loaded by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfrec.downloads import minilm_folder
from tfrec.encoders.hub_checkpoints import hub_folder, names_hub_checkpoint

# Name to a function that returns a Hugging Face folder, downloaded on first use.
PRESETS: dict[str, Callable[[], Path]] = {"minilm-l6": minilm_folder}


def is_preset(name: str) -> bool:
    """Whether a name is that of an encoder that is downloaded: of `PRESETS` or of the hub.

    Example:
        >>> is_preset("minilm-l6"), is_preset("encoders/mine")
        (True, False)
    """
    return name in PRESETS or names_hub_checkpoint(name)


def checkpoint_folder(name: str) -> Path:
    """The Hugging Face folder that a name stands for: of a preset, else the folder of that name.

    Raises:
        InvalidInput: The name is of the hub and has no commit.
        Unavailable: A download is needed but not possible.
    """
    if name in PRESETS:
        return PRESETS[name]()
    return hub_folder(name) if names_hub_checkpoint(name) else Path(name)
