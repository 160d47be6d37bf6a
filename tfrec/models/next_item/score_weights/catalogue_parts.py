"""The scores of the whole catalogue taken apart: what each part of a NextItemModel adds to each item."""

from __future__ import annotations

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.sparse_ops import add_at

NETWORK = "network"
OF_MEMORY = {"weight": "memory by history", "text_weight": "memory by text"}
REPEATS = "repeats"
POPULARITY = "popularity"


def catalogue_parts(
    model: NextItemModel, inputs: dict[str, tf.Tensor], vectors: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """What each part adds to the scores of every item; together they are `NextItemModel.scores`.

    `decomposition` takes the same parts apart for many queries at once, and only for the items that a rank depends on.

    Args:
        model: The fitted model.
        inputs: As the model's.
        vectors: `model.history_vectors()`, for a caller who asks often; None computes them.

    Returns:
        By the name of the part, float32 `[batch, num_items]`: the network, each memory that the model has, repeats and
        popularity where it has them. Below 0 is what pushes an item down.
    """
    inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    items = inputs[schema.HISTORY_ITEMS]
    parts = {NETWORK: model.cosines(inputs, vectors)}
    if model.memory is not None:
        for name, part in model.memory.parts_of_whole(items).items():
            parts[OF_MEMORY[name]] = getattr(model.memory, name) * part
    nothing = tf.zeros_like(parts[NETWORK])
    if model.repeats is not None:
        parts[REPEATS] = add_at(nothing, *model.repeats(items, inputs[schema.HISTORY_EVENTS]))
    if model.popularity is not None:
        parts[POPULARITY] = nothing + model.popularity.weight * model.popularity.part_of_whole(model.num_items)
    return parts
