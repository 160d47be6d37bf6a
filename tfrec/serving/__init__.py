"""Exports runs for TensorFlow Serving, checks exports, serves them locally and calls servers."""

from __future__ import annotations

import importlib
from typing import Any

# `check` and `export` are also names of modules: imported eagerly, so that the functions take precedence.
from tfrec.serving.checking.check import CheckReport, check
from tfrec.serving.exporting.export import export, next_version

_LAZY = {
    "Access": "tfrec.serving.local.access",
    "Client": "tfrec.serving.client.client",
    "DeviceCheckReport": "tfrec.serving.devices.check_litert",
    "Limits": "tfrec.serving.local.limits",
    "RequestLogOptions": "tfrec.serving.local.request_log_options",
    "SizeReport": "tfrec.serving.saved_model.size_report",
    "LocalServer": "tfrec.serving.local.server",
    "ModelServer": "tfrec.serving.local.server",
    "ServerError": "tfrec.serving.client.transport",
    "ServerOptions": "tfrec.serving.local.options",
    "BehaviourTextServing": "tfrec.serving.modules.behaviour_text",
    "Catalogue": "tfrec.serving.modules.item_index",
    "ClickRankerServing": "tfrec.serving.modules.click_ranker",
    "TwoStageServing": "tfrec.serving.modules.two_stage",
    "NextItemServing": "tfrec.serving.modules.next_item",
    "serve": "tfrec.serving.local.server",
    "IndexReport": "tfrec.serving.exporting.build_index",
    "build_index": "tfrec.serving.exporting.build_index",
    "with_new_items": "tfrec.serving.exporting.add_items",
    "label_versions": "tfrec.serving.exporting.server_config_files",
}

__all__ = ["CheckReport", "check", "export", "next_version", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tfrec.serving' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
