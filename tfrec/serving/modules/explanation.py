"""The signature `explain` of an export: parts of scores, and the events that decide them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrec import schema
from tfrec.explanation.served_reasons import SecondStage, served_reasons
from tfrec.explanation.variant_queries import causal_blocks
from tfrec.serving.modules.item_index import ItemIndex
from tfrec.serving.modules.string_ops import compact

Tensors = dict[str, tf.Tensor]


def can_explain(model: Any) -> bool:
    """Whether the model is one that `explained` works with; one that reads the newest event alone is not."""
    return bool(causal_blocks(model))


def explained(
    model: Any,
    index: ItemIndex,
    seen: tf.Tensor,
    kinds: tf.Tensor,
    asked: tf.Tensor,
    history_item_ids: tf.Tensor,
    second: Callable[[tf.Tensor], SecondStage] | None = None,
) -> Tensors:
    """The outputs of the signature for rows with a usable history, without their `scores`' last word on other rows.

    Args:
        model: The model.
        index: The items' vectors.
        seen: int32 `[B, H]`, the items of histories; −1 for padding and unknown ids, anywhere.
        kinds: int32 `[B, H]`, their event kinds.
        asked: int32 `[B, C]`, the items to explain; −1 is padding.
        history_item_ids: string `[B, H]`, the history as it came.
        second: From where the events of the model's histories stand in `seen`, int32 `[B, events]`, to the second
            stage; None if there is none.
    """
    place = tf.broadcast_to(tf.range(seen.shape[1]), tf.shape(seen))
    items, kinds, place = compact(
        seen >= 0, seen, kinds, place, length=model.memory_history, pads=(schema.PADDING,) * 3
    )
    longest = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)), 1)
    items, kinds, place = (column[:, :longest] for column in (items, kinds, place))
    vectors = index.read(items), index.scored(tf.maximum(asked, 0))
    reasons = served_reasons(model, items, kinds, asked, vectors, second(place) if second else None)
    real = reasons.events >= 0
    rows = tf.reshape(tf.maximum(reasons.events, 0), [tf.shape(items)[0], -1])
    at = tf.reshape(tf.gather(place, rows, batch_dims=1), tf.shape(reasons.events))
    flat = tf.reshape(tf.maximum(at, 0), tf.shape(rows))
    names = tf.reshape(tf.gather(history_item_ids, flat, batch_dims=1), tf.shape(reasons.events))
    parts = {
        prefix + name.replace(" ", "_"): part
        for prefix, found in ((schema.PART_PREFIX, reasons.parts), (schema.FIRST_STAGE_PREFIX, reasons.first_stage))
        for name, part in found.items()
    }
    return {
        **{name: tf.where(asked >= 0, part, 0.0) for name, part in parts.items()},
        schema.SCORES: tf.add_n(list(reasons.parts.values())),
        schema.EVENT_ITEM_IDS: tf.where(real, names, ""),
        schema.EVENT_POSITIONS: tf.where(real, at, schema.PADDING),
        schema.EVENT_EFFECTS: reasons.effects,
        schema.REMOVAL_SIZE: reasons.removal_size,
    }
