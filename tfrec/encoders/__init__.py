"""Text to vectors. Every encoder is a pair of TF-Hub SavedModels; this room converts, loads and caches them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrec.encoders.backbone import BertConfig as BertConfig
    from tfrec.encoders.backbone import GptConfig as GptConfig
    from tfrec.encoders.encoder import TextEncoder as TextEncoder
    from tfrec.encoders.importing import import_encoder as import_encoder
    from tfrec.encoders.loading import load_encoder as load_encoder
    from tfrec.encoders.models import build_bert as build_bert
    from tfrec.encoders.models import build_gpt as build_gpt
    from tfrec.encoders.store import EmbeddingStore as EmbeddingStore

_PUBLIC = {
    "BertConfig": "tfrec.encoders.backbone",
    "EmbeddingStore": "tfrec.encoders.store",
    "GptConfig": "tfrec.encoders.backbone",
    "TextEncoder": "tfrec.encoders.encoder",
    "build_bert": "tfrec.encoders.models",
    "build_gpt": "tfrec.encoders.models",
    "import_encoder": "tfrec.encoders.importing",
    "load_encoder": "tfrec.encoders.loading",
}

__all__ = [
    "BertConfig",
    "EmbeddingStore",
    "GptConfig",
    "TextEncoder",
    "build_bert",
    "build_gpt",
    "import_encoder",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    """Loads TensorFlow only when a name that needs it is used."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec.encoders' has no attribute {name!r}")
