"""Trained models that a new one learns from: an ensemble of seeds becomes one model of the size of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.losses.position_logits import PositionLogits
from tfrec.models.shared.item_table import lookup

if TYPE_CHECKING:
    from tfrec.models.next_item.model import NextItemModel


class Teachers:
    """What trained models would recommend at each position, as the mean of their probabilities.

    After Hinton, Vinyals & Dean 2015 (https://arxiv.org/abs/1503.02531), at temperature 1. The models are not trained
    on, and read the history that the new model reads, words and events left out by augmentation included.

    Args:
        models: NextItemModels of the same catalogue, at least one. They are made untrainable.
        weight: float in 0…1. Share of the loss that the teachers have; the rest is that of the labels.
        memory_in_loss: bool. Whether their neighbour memories take part, as in the loss of the new model.

    Example:
        >>> from tfrec.models import NextItemModel
        >>> model = NextItemModel(num_items=5, num_event_kinds=1, dim=8, heads=2, layers=1)
        >>> inputs = {"history_items": tf.constant([[3, 1]]), "history_events": tf.constant([[0, 0]]),
        ...           "history_gaps": tf.zeros([1, 2])}
        >>> teachers = Teachers([model], weight=0.5)
        >>> rows = inputs["history_items"], inputs["history_events"], tf.constant([[1, 4]])
        >>> shares = teachers.shares(teachers.positions(inputs), *rows)
        >>> shares.shape, tf.reduce_sum(shares, axis=1).numpy().round(4).tolist()
        (TensorShape([2, 5]), [1.0, 1.0])
    """

    def __init__(
        self,
        models: Sequence[NextItemModel],
        *,
        weight: float,
        memory_in_loss: bool = True,
        static_shapes: bool = False,
    ) -> None:
        self.weight, self.models = weight, list(models)
        for model in self.models:
            model.trainable = False
        self._vectors = [model.history_vectors() for model in self.models]
        self._logits = [
            PositionLogits(*(model, model.item_vectors()), memory_in_loss=memory_in_loss, static_shapes=static_shapes)
            for model in self.models
        ]

    def positions(self, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """The queries of each model after each event that it reads, float32 `[batch, length, dim]` each."""
        events, gaps = inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]
        return [
            model.scaled(model.body([lookup(vectors, inputs[schema.HISTORY_ITEMS]), events, gaps], training=False))
            for model, vectors in zip(self.models, self._vectors, strict=True)
        ]

    def shares(
        self, positions: Sequence[tf.Tensor], items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """The mean probabilities of the items at the positions with a label, float32 `[n, num_items]`.

        Args:
            positions: Of each model, its `positions`.
            items, events, labels: As for `PositionLogits`.
        """
        shares = [
            tf.nn.softmax(logits(states, items, events, labels, *logits.shared))
            for logits, states in zip(self._logits, positions, strict=True)
        ]
        return tf.stop_gradient(tf.add_n(shares) / len(shares))
