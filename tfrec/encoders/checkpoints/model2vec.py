"""Maps Model2Vec folders, tables of token vectors, to our static encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.vocabulary import UnigramPieces, Vocabulary, WordPieces
from tfrec.encoders.transformers.config import BackboneConfig, StaticConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

HEADS: tuple[str, ...] = ()
_TABLE = "embeddings"


def rename(name: str) -> str:
    """The name as it is."""
    return name


def token_table(tensors: Tensors) -> dict[str, np.ndarray]:
    """The vector of each token: that of its row, times its weight, where a folder has rows or weights apart.

    Args:
        tensors: "embeddings" `[rows, width]`, and maybe "mapping" and "weights" `[tokens]`.
    """
    if _TABLE not in tensors:
        return dict(tensors)
    table = tensors[_TABLE]
    if "mapping" in tensors:
        table = table[tensors["mapping"].astype(np.int64)]
    if "weights" in tensors:
        table = table * tensors["weights"][:, None]
    return {_TABLE: table.astype(np.float32)}


def config(values: dict[str, Any], tensors: Tensors) -> StaticConfig:
    """The config of a static encoder.

    Args:
        values: Content of config.json.
        tensors: Of `token_table`.
    """
    if _TABLE not in tensors:
        raise InvalidInput(f"Expected the tensor {_TABLE} in model.safetensors; found {', '.join(tensors) or 'none'}.")
    rows, width = tensors[_TABLE].shape
    return StaticConfig(vocab_size=rows, width=width, normalise=bool(values.get("normalize", True)))


def without_frame(vocabulary: Vocabulary) -> Vocabulary:
    """The tokeniser as Model2Vec uses it: no tokens around a text, and none for unknown words."""
    if isinstance(vocabulary, WordPieces) and vocabulary.rules is not None:
        frame = Frame((), (), vocabulary.frame.pad)
        return replace(vocabulary, rules=replace(vocabulary.rules, frame=frame, drop_unknown=True))
    if isinstance(vocabulary, UnigramPieces):
        return replace(vocabulary, frame=Frame((), (), vocabulary.frame.pad), drop_unknown=True)
    raise InvalidInput("Model2Vec needs the exact tokens of a WordPiece or Unigram vocabulary. Use --tokens exact.")


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    return {_TABLE: (config.vocab_size, config.width)}


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads the tensors into a model made by `build_backbone(config)`."""
    model.get_layer("embeddings").word.embeddings.assign(tensors[_TABLE])
