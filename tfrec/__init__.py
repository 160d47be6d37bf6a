"""tfrec: recommenders in TensorFlow from what items say and what people do.

Importing this package has one side effect, the Keras guard: `tensorflow_hub` and `tensorflow_recommenders` need
Keras 2, which TensorFlow chooses when it is first imported. Everything public is loaded on first use.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "RunConfig": "tfrec.config",
    "TfrecError": "tfrec.errors",
    "InvalidInput": "tfrec.errors",
    "Unavailable": "tfrec.errors",
    "PreparedDataset": "tfrec.data",
    "prepare": "tfrec.data",
    "load_encoder": "tfrec.encoders",
    "import_encoder": "tfrec.encoders",
    "NextItemModel": "tfrec.models",
    "BehaviourTextModel": "tfrec.models",
    "ClickRanker": "tfrec.models",
    "TopK": "tfrec.retrieval",
    "recommend": "tfrec.retrieval",
    "evaluate_run": "tfrec.runs",
    "train": "tfrec.runs",
    "load_run": "tfrec.runs",
    "export": "tfrec.serving",
    "check": "tfrec.serving",
}

__all__ = ["__version__", *_PUBLIC]


def _guard_keras() -> None:
    """Chooses Keras 2 while that is still possible, and says what to do when it is not."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if "tensorflow" in sys.modules and not legacy:
        from tfrec.errors import InvalidInput

        raise InvalidInput(
            "tfrec needs Keras 2 (tf_keras), but TensorFlow was imported before tfrec and uses Keras 3. "
            "Import tfrec before tensorflow, or set the environment variable TF_USE_LEGACY_KERAS=1."
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


_guard_keras()


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
