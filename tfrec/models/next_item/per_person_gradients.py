"""The gradient of each person's next-item loss, for training that adds noise to their sum."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import used_columns
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import WEIGHT_RATE
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum
from tfrec.models.shared.history_statistics import NEVER
from tfrec.models.shared.item_table import lookup

LABELS = "labels"

Tensors = dict[str, tf.Tensor]


class PerPersonGradients:
    """Gradients of the mean loss over the positions of each history of a chunk, on their own.

    The loss is the softmax over the whole catalogue of `next_item_loss`, without dropout. What depends on the catalogue
    is the same for all people, and so is computed for the whole chunk as in a plain step, down to the gradient by the
    queries. From there each person's gradient is a small product, or goes through the network for that person alone.

    The text vectors and their projection are public and stay as they are: the projection alone has as many weights as a
    transformer block, and what it gains from events is little. Item vectors then have no gradient, unless the items
    have ids. Where the model never lists a seen item, that is no matter of training either: labels on items of the
    history are left out.

    Args:
        model: The model. Its neighbour memory must count each person's pairs so little that they need not be taken out
            of the scores that are learnt on, as `noisy_neighbours` does.
    """

    def __init__(self, model: NextItemModel) -> None:
        self.model, table, memory = model, model.items, model.memory
        self._never = model.repeats is not None and float(model.repeats.coefficients[1]) < NEVER / 2
        self._network = [*model.body.trainable_variables, model.log_temperature]
        self._memory = [getattr(memory, f"scaled_{name}") for name in memory.weight_names] if memory else []
        self._repeats = [model.repeats.scaled] if model.repeats and not self._never else []
        self._ids = [table.ids] if table.use_id else []
        self.variables: list[tf.Variable] = [*self._network, *self._memory, *self._repeats, *self._ids]

    def shared_values(self) -> Tensors:
        """What a step computes once for all people: the item vectors, and the unit vectors and the popularity biases of
        the candidates."""
        vectors, popularity = self.model.items.vectors(), self.model.popularity
        biases = tf.zeros([self.model.num_items])
        if popularity is not None:
            biases = popularity.weight * popularity.catalogue_log_popularity(self.model.num_items)
        return {"vectors": vectors, "units": tf.math.l2_normalize(vectors, axis=-1), "biases": biases}

    def of_chunk(self, shared: Tensors, chunk: Tensors) -> list[tf.Tensor]:
        """The gradients, float32 `[people, *shape]` for each of `variables`.

        Those of the repeat bias and of the ids are by the coefficients and by the item vectors. Their weights are these
        divided by a rate, which is there for Adam: to Adam it makes no difference, but in the clipped norm the bias
        alone would have the larger part.

        Args:
            shared: The result of `shared_values`.
            chunk: Inputs of the model and `labels`, `[people, length]` each.
        """
        length = tf.maximum(tf.reduce_max(used_columns(chunk[schema.HISTORY_ITEMS])), 1)
        chunk = {name: values[:, :length] for name, values in chunk.items()}  # a chunk of short histories is short
        labels, history = self._labels(chunk), lookup(shared["vectors"], chunk[schema.HISTORY_ITEMS])
        inputs = [history, chunk[schema.HISTORY_EVENTS], chunk[schema.HISTORY_GAPS]]
        queries = self.model.scaled(self.model.body(inputs, training=False))
        memory, repeats = self._memory_scores(chunk, labels), self._repeat_terms(chunk)
        logits = _flat_product(queries, tf.transpose(shared["units"])) + shared["biases"]
        logits = self._with_repeats(self._with_memory(logits, memory), repeats)
        by_logits = _by_logits(logits, labels)
        by_history, *gradients = self._through_the_network(inputs, _flat_product(by_logits, shared["units"]))
        gradients += [WEIGHT_RATE * tf.reduce_sum(by_logits * scores, axis=[1, 2]) for scores in memory]
        if self._repeats:
            at_cells = tf.gather(by_logits, repeats["columns"], batch_dims=2)
            gradients.append(tf.einsum("bpt,bcpt->bc", at_cells, repeats["terms"]))
        if self._ids:
            by_units = tf.matmul(by_logits, queries, transpose_a=True)
            gradients.append(_by_vectors(by_units, by_history, chunk[schema.HISTORY_ITEMS], shared))
        return gradients

    def _labels(self, chunk: Tensors) -> tf.Tensor:
        """The labels that are learnt; those on items that the model never lists are left out."""
        labels = chunk[LABELS]
        if not self._never:
            return labels
        same = labels[:, :, None] == chunk[schema.HISTORY_ITEMS][:, None, :]
        repeated = tf.reduce_any(tf.linalg.band_part(tf.cast(same, tf.int32), -1, 0) > 0, axis=2)
        return tf.where(repeated, schema.PADDING, labels)

    def _through_the_network(self, inputs: list[tf.Tensor], by_queries: tf.Tensor) -> list[tf.Tensor]:
        """The gradients by the history's vectors and by the weights of the network, one person after another."""

        def gradients(person: list[tf.Tensor]) -> list[tf.Tensor]:
            *of_person, by_query = (values[None] for values in person)
            with tf.GradientTape() as tape:
                tape.watch(of_person[0])
                queries = self.model.scaled(self.model.body(of_person, training=False))
            sources = [of_person[0], *self._network]
            by_history, *found = tape.gradient(queries, sources, by_query, unconnected_gradients="zero")
            return [by_history[0], *(tf.convert_to_tensor(gradient) for gradient in found)]

        with _without_warnings():
            return list(tf.vectorized_map(gradients, [*inputs, by_queries]))

    def _memory_scores(self, chunk: Tensors, labels: tf.Tensor) -> list[tf.Tensor]:
        """The scores that each weight of the memory multiplies, after each prefix: `[people, length, num_items]`."""
        memory, items = self.model.memory, chunk[schema.HISTORY_ITEMS]
        if memory is None:
            return []
        remembered = self.model.remembered(items, chunk[schema.HISTORY_EVENTS])
        parts = memory.unweighted_scores_at_labels(
            remembered, labels, self.model.num_items, every_position=True, without_own=False
        )
        return [tf.reshape(part, [tf.shape(items)[0], -1, self.model.num_items]) for part in parts]

    def _with_memory(self, logits: tf.Tensor, scores: list[tf.Tensor]) -> tf.Tensor:
        weights = self.model.memory.learned_weights() if self.model.memory is not None else []
        return tf.add_n([logits, *(weight * part for weight, part in zip(weights, scores, strict=True))])

    def _repeat_terms(self, chunk: Tensors) -> Tensors:
        """What each coefficient of the repeat bias multiplies, `[people, coefficients, length, length]`, and the items
        whose logits it is added to, `columns`.

        The bias is linear in its coefficients, so its terms are the biases with one coefficient 1 and the others 0.
        """
        repeats, items = self.model.repeats, chunk[schema.HISTORY_ITEMS]
        if repeats is None:
            return {}
        units = tf.unstack(tf.eye(repeats.scaled.shape[0]))
        parts = [repeats.prefix_biases(items, chunk[schema.HISTORY_EVENTS], unit) for unit in units]
        return {"terms": tf.stack([values for _, values in parts], axis=1), "columns": parts[0][0]}

    def _with_repeats(self, logits: tf.Tensor, repeats: Tensors) -> tf.Tensor:
        if self.model.repeats is None:
            return logits
        values = tf.einsum("c,bcpt->bpt", self.model.repeats.coefficients, repeats["terms"])
        length = tf.shape(values)[-1]
        columns, values = (tf.reshape(part, [-1, length]) for part in (repeats["columns"], values))
        return logits + tf.reshape(bincount_scatter_sum(columns, values, self.model.num_items), tf.shape(logits))


def _flat_product(values: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """`values` float32 `[people, length, n]` times `matrix` `[n, m]`, as one product: many small ones are slower."""
    people, length, width = tf.unstack(tf.shape(values))
    flat = tf.matmul(tf.reshape(values, [people * length, width]), matrix)
    return tf.reshape(flat, [people, length, matrix.shape[1]])


def _by_logits(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The gradient of each person's mean cross-entropy by the logits, `[people, length, num_items]`; 0 without labels.

    Args:
        logits: float32 `[people, length, num_items]`.
        labels: int32 `[people, length]`, −1 where there is none.
    """
    real = tf.cast(labels >= 0, tf.float32)
    shares = tf.math.divide_no_nan(real, tf.reduce_sum(real, axis=1, keepdims=True))
    return shares[..., None] * (tf.nn.softmax(logits) - tf.one_hot(labels, tf.shape(logits)[-1]))


def _by_vectors(by_units: tf.Tensor, by_history: tf.Tensor, items: tf.Tensor, shared: Tensors) -> tf.Tensor:
    """The gradient by the item vectors, `[people, num_items, dim]`, of items as candidates and in the history.

    Args:
        by_units: float32 `[people, num_items, dim]`, by the unit vectors of the candidates.
        by_history: float32 `[people, length, dim]`, by the vectors of the history's items.
        items: int32 `[people, length]`, those items; −1 is padding.
        shared: The result of `shared_values`.
    """
    units, vectors = shared["units"], shared["vectors"]
    along = tf.reduce_sum(by_units * units, axis=-1, keepdims=True)  # a unit vector does not get longer
    lengths = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True), 1e-12))
    person = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
    read = by_history * tf.cast(items >= 0, tf.float32)[..., None]
    return tf.tensor_scatter_nd_add(
        (by_units - along * units) / lengths, tf.stack([person, tf.maximum(items, 0)], axis=-1), read
    )


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
