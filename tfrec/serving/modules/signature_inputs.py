"""The inputs of the signatures of a NextItemModel export: their names, shapes and types."""

from __future__ import annotations

import tensorflow as tf

from tfrec import schema
from tfrec.config import ExportConfig

Specs = dict[str, tf.TensorSpec]


def signature_inputs(sizes: ExportConfig) -> dict[str, Specs]:
    """The inputs of each signature but `recommend_from_vectors` (`vector_inputs`), by its name.

    Args:
        sizes: Section `export`: lengths of the histories and other lists of a request.

    Example:
        >>> signature_inputs(ExportConfig(history_length=7))["recommend"]["history_events"].shape.as_list()
        [None, 7]
    """
    history = history_inputs(sizes.history_length)
    exclude = _strings(schema.EXCLUDE_ITEM_IDS, sizes.exclude_length)
    return {
        schema.SIGNATURE_RECOMMEND: {**history, **exclude},
        schema.SIGNATURE_RECOMMEND_FILTERED: {
            **history,
            **exclude,
            **_strings(schema.ALLOW_VALUES, sizes.allow_length),
        },
        schema.SIGNATURE_RECOMMEND_POPULAR: {**_strings(schema.SEGMENT), **exclude},
        schema.SIGNATURE_RECOMMEND_FROM_TEXT: _strings(schema.HISTORY_TEXTS, sizes.history_length),
        schema.SIGNATURE_RECOMMEND_FROM_IMAGE: _strings(schema.HISTORY_IMAGES, sizes.history_length),
        schema.SIGNATURE_RANK: {**history, **_strings(schema.CANDIDATE_ITEM_IDS, sizes.candidates_length)},
        schema.SIGNATURE_EXPLAIN: {**history, **_strings(schema.EXPLAIN_ITEM_IDS, sizes.explain_length)},
        schema.SIGNATURE_SIMILAR_ITEMS: _strings(schema.ITEM_IDS),
        schema.SIGNATURE_SIMILAR_BY_IMAGE: _strings(schema.IMAGES),
        schema.SIGNATURE_EMBED: _strings(schema.TEXTS),
    }


def vector_inputs(length: int, dim: int) -> Specs:
    """The inputs of `recommend_from_vectors`.

    Args:
        length: int. Events of a history.
        dim: int. Width of a vector of the encoder.
    """
    return {
        schema.HISTORY_VECTORS: tf.TensorSpec([None, length, dim], tf.float32, schema.HISTORY_VECTORS),
        schema.HISTORY_MASK: tf.TensorSpec([None, length], tf.int32, schema.HISTORY_MASK),
        **history_inputs(length),
    }


def history_inputs(length: int | None) -> Specs:
    """Item ids and event kinds of a history, string `[B, length]` each; None leaves the length open."""
    return {**_strings(schema.HISTORY_ITEM_IDS, length), **_strings(schema.HISTORY_EVENTS, length)}


def _strings(name: str, width: int | None = None) -> Specs:
    return {name: tf.TensorSpec([None] if width is None else [None, width], tf.string, name)}
