"""Export to TensorFlow Serving, and proof that an export loads there."""

from __future__ import annotations

import importlib
from typing import Any

# These two are also the names of their modules, so they are bound here and now, to stay in front of them.
from tfrec.serving.check import CheckReport, check
from tfrec.serving.export import export, next_version

_LAZY = {
    "Client": "tfrec.serving.client",
    "LocalServer": "tfrec.serving.local.server",
    "ServerError": "tfrec.serving.transport",
    "ServerOptions": "tfrec.serving.local.server",
    "BehaviourTextServing": "tfrec.serving.behaviour_text",
    "Catalogue": "tfrec.serving.catalogue",
    "ClickRankerServing": "tfrec.serving.click_ranker",
    "TwoStageServing": "tfrec.serving.two_stage",
    "NextItemServing": "tfrec.serving.next_item",
    "serve": "tfrec.serving.local.server",
    "IndexReport": "tfrec.serving.index_quality",
    "build_index": "tfrec.serving.index_quality",
    "with_new_items": "tfrec.serving.new_items",
    "label_versions": "tfrec.serving.config_files",
}

__all__ = ["CheckReport", "check", "export", "next_version", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tfrec.serving' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
