"""Export to TensorFlow Serving, and proof that an export loads there."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "export": "tfrec.serving.export",
    "next_version": "tfrec.serving.export",
    "check": "tfrec.serving.check",
    "CheckReport": "tfrec.serving.check",
    "NextItemServing": "tfrec.serving.next_item",
    "BehaviourTextServing": "tfrec.serving.behaviour_text",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfrec.serving' has no attribute {name!r}")
    # `export` and `check` are also the names of their modules: set here, the functions stay in front of them.
    value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
    return value
