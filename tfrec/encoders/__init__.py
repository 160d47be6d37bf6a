"""Text and image encoders, which are TF-Hub SavedModels: converts, loads and runs them, and caches their vectors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrec.encoders.checkpoints.import_encoder import import_encoder as import_encoder
    from tfrec.encoders.describe import describe_encoder as describe_encoder
    from tfrec.encoders.embedding_store.store import EmbeddingStore as EmbeddingStore
    from tfrec.encoders.images.image_encoder import ImageEncoder as ImageEncoder
    from tfrec.encoders.images.load_image_encoder import load_image_encoder as load_image_encoder
    from tfrec.encoders.images.save_image_encoder import save_image_encoder as save_image_encoder
    from tfrec.encoders.load import load_encoder as load_encoder
    from tfrec.encoders.text_encoder import TextEncoder as TextEncoder
    from tfrec.encoders.transformers.build import build_bert as build_bert
    from tfrec.encoders.transformers.build import build_gpt as build_gpt
    from tfrec.encoders.transformers.config import BertConfig as BertConfig
    from tfrec.encoders.transformers.config import GptConfig as GptConfig

_PUBLIC = {
    "BertConfig": "tfrec.encoders.transformers.config",
    "EmbeddingStore": "tfrec.encoders.embedding_store.store",
    "GptConfig": "tfrec.encoders.transformers.config",
    "ImageEncoder": "tfrec.encoders.images.image_encoder",
    "TextEncoder": "tfrec.encoders.text_encoder",
    "build_bert": "tfrec.encoders.transformers.build",
    "build_gpt": "tfrec.encoders.transformers.build",
    "describe_encoder": "tfrec.encoders.describe",
    "import_encoder": "tfrec.encoders.checkpoints.import_encoder",
    "load_encoder": "tfrec.encoders.load",
    "load_image_encoder": "tfrec.encoders.images.load_image_encoder",
    "save_image_encoder": "tfrec.encoders.images.save_image_encoder",
}

__all__ = [
    "BertConfig",
    "EmbeddingStore",
    "GptConfig",
    "ImageEncoder",
    "TextEncoder",
    "build_bert",
    "build_gpt",
    "describe_encoder",
    "import_encoder",
    "load_encoder",
    "load_image_encoder",
    "save_image_encoder",
]


def __getattr__(name: str) -> Any:
    """Loads TensorFlow only when a name that needs it is used."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec.encoders' has no attribute {name!r}")
