"""`int8` and `bfloat16`: the same encoder with small weights, which stay small inside every SavedModel."""

from __future__ import annotations

from dataclasses import replace

from tfrec.encoders.compression.student import Student
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.small_weights import SmallDense, SmallEmbedding
from tfrec.keras import keras

_LAYERS = (keras.layers.Dense, keras.layers.Embedding, keras.layers.LayerNormalization, SmallDense, SmallEmbedding)


def store_small(student: Student, kind: str) -> Student:
    """Rounds the tables of tokens and the matrices of the layers; positions, biases and norms stay float32.

    Args:
        student: The student, with float32 weights.
        kind: "int8" (a scale for each token and for each output of a matrix) or "bfloat16".
    """
    config = replace(student.config, weights=kind)
    model = build_backbone(config)
    for old, new in zip(_layers(student.model), _layers(model), strict=True):
        if isinstance(new, SmallDense):
            new.store(old.kernel.numpy())
            new.bias.assign(old.bias)
        elif isinstance(new, SmallEmbedding):
            new.store(old.embeddings.numpy())
        else:
            new.set_weights(old.get_weights())
    if config.learned_positions:
        model.get_layer("embeddings").position.assign(student.model.get_layer("embeddings").position)
    for index in range(config.layers if config.relative_buckets else 0):
        model.get_layer(f"layer_{index}").relative.assign(student.model.get_layer(f"layer_{index}").relative)
    return Student(config, student.vocabulary, model)


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that hold weights, in an order that depends only on the shape of the encoder."""
    return [layer for layer in model.submodules if isinstance(layer, _LAYERS)]
