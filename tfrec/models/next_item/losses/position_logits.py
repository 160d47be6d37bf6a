"""The scores that the loss is made of: at each position with a label, of every item or candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec.models.next_item.history_ops import select_rows
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum, gather_columns

if TYPE_CHECKING:
    from tfrec.models.next_item.losses.candidate_sampler import Candidates
    from tfrec.models.next_item.model import NextItemModel


class PositionLogits:
    """The parts of a model's scores, added up at the positions of one chunk of a batch.

    Args:
        model: The model.
        scored: float32 `[width, dim]`, unit vectors of the items that are scored.
        candidates: The items that are scored; None for the whole catalogue.
        columns: The result of `item_columns` for the candidates; None without.
        memory_in_loss: bool. Whether the scores contain those of the neighbour memory, if the model has one.
        static_shapes: bool. Whether there is a row for every position, not only for those with a label.

    Attributes:
        shared: Tensors that gradients are wanted for, which a call takes again: the vectors and the score weights.
    """

    def __init__(
        self,
        model: NextItemModel,
        scored: tf.Tensor,
        candidates: Candidates | None = None,
        columns: tf.Tensor | None = None,
        *,
        memory_in_loss: bool = True,
        static_shapes: bool = False,
    ) -> None:
        self._model, self._columns, self._static_shapes = model, columns, static_shapes
        self._repeats = model.repeats
        self._memory = model.memory if memory_in_loss else None
        self._unseen = model.unseen if candidates is None else tf.gather(model.unseen, tf.maximum(candidates.items, 0))
        repeats = [] if self._repeats is None else [self._repeats.coefficients]
        self.shared = [scored, *repeats, *([] if self._memory is None else self._memory.learned_weights())]

    def __call__(
        self, positions: tf.Tensor, items: tf.Tensor, events: tf.Tensor, labels: tf.Tensor, *shared: tf.Tensor
    ) -> tf.Tensor:
        """The scores, float32 `[n, width]`.

        Args:
            positions: float32 `[batch, length, dim]`, the queries after each event.
            items, events, labels: int32 `[batch, length]`; −1 is padding.
            shared: `self.shared`, as far as the caller follows gradients.
        """
        real, (scored, *weights) = labels >= 0, shared
        states, width = select_rows(positions, real, self._static_shapes), tf.shape(scored)[0]
        parts = [tf.nn.bias_add(tf.matmul(states, scored, transpose_b=True), self._unseen)]
        coefficients = weights.pop(0) if self._repeats is not None else None
        if self._memory is not None:
            liked = self._model.remembered(items, events)
            remembered = self._memory.unweighted_scores_at_labels(
                *(liked, labels, width, self._columns, self._static_shapes)
            )
            parts += [weight * part for weight, part in zip(weights, remembered, strict=True)]
        if coefficients is not None:
            parts.append(self._repeated(items, events, real, coefficients, width))
        return tf.add_n(parts)

    def _repeated(
        self, items: tf.Tensor, events: tf.Tensor, real: tf.Tensor, coefficients: tf.Tensor, width: tf.Tensor
    ) -> tf.Tensor:
        """The bias on the items of each history, float32 `[n, width]`."""
        assert self._repeats is not None
        indices, values = self._repeats.prefix_biases(items, events, coefficients)
        indices = select_rows(gather_columns(self._columns, indices), real, self._static_shapes)
        return bincount_scatter_sum(indices, select_rows(values, real, self._static_shapes), width)
