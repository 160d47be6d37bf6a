"""Maps tables of token vectors, of Model2Vec and of sentence-transformers' StaticEmbedding, to our static encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tfrec.encoders.checkpoints.safetensors_file import Tensors, tensor_names
from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.tokenization.vocabulary import BytePairs, UnigramPieces, Vocabulary
from tfrec.encoders.transformers.config import BackboneConfig, StaticConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

HEADS: tuple[str, ...] = ()
_TABLE = "embeddings"


_STATIC_EMBEDDING = "embedding.weight"


def rename(name: str) -> str:
    """The name in a Model2Vec folder."""
    return _TABLE if name == _STATIC_EMBEDDING else name


def is_table(path: Path) -> bool:
    """Whether a safetensors file holds a table of token vectors only, as that of a folder that names no model type."""
    return set(tensor_names(path)) <= {_TABLE, "mapping", "weights"}


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


def config(tensors: Tensors, normalise: bool) -> StaticConfig:
    """The config of a static encoder.

    Args:
        tensors: Of `token_table`.
        normalise: As in `BackboneConfig`.
    """
    if _TABLE not in tensors:
        found = ", ".join(tensors) or "none"
        raise InvalidInput(f"Expected the tensor {_TABLE} or {_STATIC_EMBEDDING} in model.safetensors; found {found}.")
    rows, width = tensors[_TABLE].shape
    return StaticConfig(vocab_size=rows, width=width, normalise=normalise)


def without_frame(vocabulary: Vocabulary, drop_unknown: bool) -> Vocabulary:
    """The tokeniser as static encoders use it: no tokens around a text.

    Args:
        vocabulary: The vocabulary.
        drop_unknown: Whether unknown words give no token, as in Model2Vec.
    """
    frame = Frame((), (), vocabulary.frame.pad)
    if isinstance(vocabulary, UnigramPieces):
        return replace(vocabulary, frame=frame, drop_unknown=drop_unknown)
    if vocabulary.rules is None:
        raise InvalidInput("Static encoders need the tokens of Hugging Face's tokenisers. Use --tokens exact.")
    if isinstance(vocabulary, BytePairs):  # which knows every word
        return replace(vocabulary, rules=replace(vocabulary.rules, frame=frame))
    return replace(vocabulary, rules=replace(vocabulary.rules, frame=frame, drop_unknown=drop_unknown))


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    return {_TABLE: (config.vocab_size, config.width)}


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads the tensors into a model made by `build_backbone(config)`."""
    model.get_layer("embeddings").word.embeddings.assign(tensors[_TABLE])
