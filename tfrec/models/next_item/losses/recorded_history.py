"""The history as it was recorded, beside a changed one that the network reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema

if TYPE_CHECKING:
    from tfrec.models.next_item.model import NextItemModel


def as_recorded(inputs: dict[str, tf.Tensor], positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Items and events of the histories as they were, int32 `[batch, length]`, and the transformer's output after each
    of their prefixes.

    What the transformer reads of a history may differ from it in training (`Augmentation`); `read_places` then says how
    far it has read at the end of each prefix.

    Args:
        inputs: As the model's, with `recorded_items`, `recorded_events` and `read_places` where they differ.
        positions: float32 `[batch, read length, dim]`, the transformer's output.
    """
    if schema.RECORDED_ITEMS not in inputs:
        return inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS], positions
    read = tf.gather(positions, inputs[schema.READ_PLACES], batch_dims=1)
    return inputs[schema.RECORDED_ITEMS], inputs[schema.RECORDED_EVENTS], read


def steps_of(model: NextItemModel) -> tf.Tensor | int:
    """Training steps that the model's optimiser has done; 0 without one."""
    return getattr(getattr(model, "optimizer", None), "iterations", 0)
