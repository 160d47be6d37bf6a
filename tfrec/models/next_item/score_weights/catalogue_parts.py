"""The scores of the whole catalogue, split into the parts of a NextItemModel."""

from __future__ import annotations

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.sparse_ops import scatter_add

NETWORK = "network"
MEMORY_PARTS = {"weight": "memory by history", "text_weight": "memory by text"}
REPEATS = "repeats"
POPULARITY = "popularity"


def catalogue_parts(
    model: NextItemModel, inputs: dict[str, tf.Tensor], vectors: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """What each part of the model adds to the score of every item; the sum is `NextItemModel.scores`.

    (`ScoreParts` keeps the same parts for many queries at once, but only for the items that can change a rank.)

    Args:
        model: The fitted model.
        inputs: As the model's.
        vectors: float32 `[num_items, dim]`, `model.history_vectors()`, so that a caller with many histories computes
            them once; None computes them here.

    Returns:
        From the name of a part to float32 `[batch, num_items]`: "network", and those of "memory by history", "memory by
        text", "repeats" and "popularity" that the model has. A negative value lowers the score of the item.
    """
    inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    items = inputs[schema.HISTORY_ITEMS]
    parts = {NETWORK: model.cosines(inputs, vectors)}
    if model.memory is not None:
        remembered = model.remembered(items, inputs[schema.HISTORY_EVENTS])
        for name, part in model.memory.unweighted_catalogue_scores(remembered).items():
            parts[MEMORY_PARTS[name]] = getattr(model.memory, name) * part
    zeros = tf.zeros_like(parts[NETWORK])
    if model.repeats is not None:
        parts[REPEATS] = scatter_add(zeros, *model.repeats(items, inputs[schema.HISTORY_EVENTS]))
    if model.popularity is not None:
        parts[POPULARITY] = zeros + model.popularity.weight * model.popularity.catalogue_log_popularity(model.num_items)
    return parts
