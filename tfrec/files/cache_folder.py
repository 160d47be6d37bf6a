"""Where downloads, encoders and embeddings are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The cache for downloads and embeddings: `$TFREC_CACHE`, `$XDG_CACHE_HOME/tfrec` or `~/.cache/tfrec`."""
    if chosen := os.environ.get("TFREC_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfrec"
