"""Histories of vectors, for callers who encode their items themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfrec import schema
from tfrec.serving.modules.string_ops import compact

LARGEST = 1e6
"""Largest absolute number of a vector, so that no sum of squares overflows in the model; encoders give a few tens."""


class ReadVectors(NamedTuple):
    """What a model reads of histories of vectors.

    Attributes:
        query: float32 `[B, dim]`.
        boost: Indices and values of neighbours and repeats, as `NextItemModel.adjustment` gives them.
        usable: bool `[B]`, whether there is any event.
    """

    query: tf.Tensor
    boost: tuple[tf.Tensor, tf.Tensor]
    usable: tf.Tensor


def real_vectors(vectors: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Which entries are events, bool `[B, n]`: those with mask above 0 and a vector of numbers up to `LARGEST`.

    Args:
        vectors: float32 `[B, n, text_dim]`.
        mask: int32 `[B, n]`.
    """
    return (mask > 0) & tf.reduce_all(tf.abs(vectors) <= LARGEST, axis=2)  # false for NaN


def read_vectors(model: Any, vectors: tf.Tensor, real: tf.Tensor, seen: tf.Tensor, kinds: tf.Tensor) -> ReadVectors:
    """Reads histories of vectors with a NextItemModel.

    Args:
        model: The model, with text.
        vectors: float32 `[B, n, text_dim]`, as the model's encoder gives them, oldest first.
        real: bool `[B, n]`, the result of `real_vectors`.
        seen: int32 `[B, n]`, the items that the entries are; −1 for those of no catalogue.
        kinds: int32 `[B, n]`, event kinds; −1 for an unknown one.
    """
    history, mask, read = compact(
        real, model.text_to_vector(vectors), real, kinds, length=model.max_history, pads=(0.0, False, -1)
    )
    items, events = compact(seen >= 0, seen, kinds, length=model.memory_history, pads=(schema.PADDING, -1))
    query = model.query_from_vectors(history, mask, read)
    return ReadVectors(query, model.adjustment(items, events), tf.reduce_any(real, axis=1))
