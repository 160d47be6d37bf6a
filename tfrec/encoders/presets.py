"""Encoders that can be loaded by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfrec.downloads import minilm_folder

# Name to a function that returns a Hugging Face BERT folder, downloaded on first use.
PRESETS: dict[str, Callable[[], Path]] = {"minilm-l6": minilm_folder}
