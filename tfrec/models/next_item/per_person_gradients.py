"""The gradient of each person's next-item loss, for training that adds noise to their sum."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import used_columns
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.shared.item_table import lookup
from tfrec.privacy.clipped_gradients import CHUNK

LABELS = "labels"


class PerPersonGradients:
    """Gradients of the mean loss over the positions of each history of a chunk, on their own.

    The loss is the softmax over the whole catalogue of `next_item_loss`, without dropout. The text vectors and their
    projection are public and stay as they are: the projection alone has as many weights as a transformer block, and
    what it gains from events is little. Item vectors then have no gradient, unless the items have ids.

    Args:
        model: The model. It must have no co-occurrence neighbours, whose counts are private.
    """

    def __init__(self, model: NextItemModel) -> None:
        self.model, table = model, model.items
        public = {id(table.projection)} if table.text_dim and table.projection_rate else set()
        apart = [*([model.repeats.scaled] if model.repeats else []), *([table.ids] if table.use_id else [])]
        taken = public | {id(variable) for variable in apart}
        self._network = [variable for variable in model.trainable_variables if id(variable) not in taken]
        self.variables: list[tf.Variable] = self._network + apart

    def shared_values(self) -> dict[str, tf.Tensor]:
        """What a step computes once for all people: the item vectors, and the coefficients of the repeat bias."""
        values = {"vectors": self.model.items.vectors()}
        if self.model.repeats is not None:
            values["repeats"] = self.model.repeats.coefficients
        return values

    def of_chunk(self, shared: dict[str, tf.Tensor], chunk: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """The gradients, float32 `[CHUNK, *shape]` for each of `variables`.

        Those of the repeat bias and of the ids are by the coefficients and by the item vectors. Their weights are these
        divided by a rate, which is there for Adam: to Adam it makes no difference, but in the clipped norm the bias
        alone would have the larger part.

        Args:
            shared: The result of `shared_values`.
            chunk: Inputs of the model and `labels`, `[CHUNK, length]` each.
        """
        length = tf.maximum(tf.reduce_max(used_columns(chunk[schema.HISTORY_ITEMS])), 1)
        chunk = {name: values[:, :length] for name, values in chunk.items()}  # a chunk of short histories is short
        # what does not depend on a weight, for the whole chunk
        fixed = {**chunk, **self._text_scores(chunk), **self._repeat_terms(chunk)}
        sources = [*self._network, *([shared["repeats"]] if self.model.repeats else [])]
        sources += [shared["vectors"]] if self.model.items.use_id else []

        def gradients(person: dict[str, tf.Tensor]) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(list(shared.values()))
                loss = self._loss(shared, person)
            found = tape.gradient(loss, sources, unconnected_gradients="zero")
            return [tf.convert_to_tensor(gradient) for gradient in found]

        with _without_warnings():
            return list(tf.vectorized_map(gradients, fixed))

    def _loss(self, shared: dict[str, tf.Tensor], person: dict[str, tf.Tensor]) -> tf.Tensor:
        """The mean loss of one history, float32 scalar; 0 without labels. Arguments as in a chunk, without its axis."""
        model, vectors, labels = self.model, shared["vectors"], person[LABELS]
        history = lookup(vectors, person[schema.HISTORY_ITEMS])
        events, gaps = person[schema.HISTORY_EVENTS], person[schema.HISTORY_GAPS]
        hidden = model.body([history[None], events[None], gaps[None]], training=False)[0]
        logits = tf.matmul(model.scaled(hidden), tf.math.l2_normalize(vectors, axis=-1), transpose_b=True)
        if model.memory is not None:
            logits += model.memory.text_weight * person["text_scores"]
        if model.repeats is not None:
            values = tf.tensordot(shared["repeats"], person["repeat_terms"], 1)
            cells = tf.reshape(person["repeat_cells"], [-1])
            added = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), cells, tf.size(logits))
            logits += tf.reshape(added, tf.shape(logits))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        real = tf.cast(labels >= 0, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(losses * real), tf.reduce_sum(real))

    def _text_scores(self, chunk: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The scores of the text neighbours after each prefix, before their weight: `[CHUNK, length, num_items]`."""
        memory, items = self.model.memory, chunk[schema.HISTORY_ITEMS]
        if memory is None:
            return {}
        remembered = self.model.remembered(items, chunk[schema.HISTORY_EVENTS])
        (scores,) = memory.unweighted_scores_at_labels(
            remembered, chunk[LABELS], self.model.num_items, every_position=True
        )
        return {"text_scores": tf.reshape(scores, [CHUNK, -1, self.model.num_items])}

    def _repeat_terms(self, chunk: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What each coefficient of the repeat bias multiplies, and the number of the logit that it is added to.

        The bias is linear in its coefficients, so its terms are the biases with one coefficient 1 and the others 0.
        """
        repeats, items = self.model.repeats, chunk[schema.HISTORY_ITEMS]
        if repeats is None:
            return {}
        units: Sequence[tf.Tensor] = tf.unstack(tf.eye(repeats.scaled.shape[0]))
        parts = [repeats.prefix_biases(items, chunk[schema.HISTORY_EVENTS], unit) for unit in units]
        column = parts[0][0]
        position = tf.range(tf.shape(items)[1])[:, None]
        return {
            "repeat_terms": tf.stack([values for _, values in parts], axis=1),
            "repeat_cells": position * self.model.num_items + column,
        }


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps to itself that a lookup in a table is done for one person after another; it takes no time to speak of."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
