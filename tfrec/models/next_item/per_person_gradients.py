"""The gradient of each person's next-item loss, for training that adds noise to their sum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tensorflow as tf

from tfrec import schema
from tfrec.models.next_item.history_ops import used_columns
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import WEIGHT_RATE
from tfrec.models.next_item.network_gradients import NETWORK_LAYERS
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum
from tfrec.models.shared.history_statistics import NEVER
from tfrec.models.shared.item_table import lookup
from tfrec.models.shared.layer_gradients import gradients_of_calls, recorded_calls
from tfrec.models.shared.softmax_gradients import catalogue_product, softmax_gradients
from tfrec.privacy.person_gradients import ROUNDING, Explicit, PersonGradients, dots, flat_product, where_person
from tfrec.privacy.private_trainer import LABELS, Tensors


class PerPersonGradients:
    """Gradients of the mean loss over the positions of each history of a chunk, on their own.

    The loss is the softmax over the whole catalogue of `next_item_loss`, without dropout. What depends on the catalogue
    is the same for all people, and so is computed for the whole chunk as in a plain step, down to the gradient by what
    each layer of the network computes. From there the gradients of a matrix are outer products, of which the norms and
    the sum are known without them (`Products`), and those of other weights are small.

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
        self._layers = list(model.body._flatten_layers(include_self=False))
        self._network = [*model.body.trainable_variables, model.log_temperature]
        self._memory = [getattr(memory, f"scaled_{name}") for name in memory.weight_names] if memory else []
        self._repeats = [model.repeats.scaled] if model.repeats and not self._never else []
        self._ids = [table.ids] if table.use_id else []
        self.variables: list[tf.Variable] = [*self._network, *self._memory, *self._repeats, *self._ids]

    def shared_values(self) -> Tensors:
        """What a step computes once for all people: the item vectors, and the unit vectors and the popularity biases of
        the candidates."""
        vectors, popularity = self.model.items.vectors(), self.model.popularity
        shared = {"vectors": vectors, "units": tf.math.l2_normalize(vectors, axis=-1)}
        if popularity is not None:
            shared["biases"] = popularity.weight * popularity.catalogue_log_popularity(self.model.num_items)
        return shared

    def of_chunk(self, shared: Tensors, chunk: Tensors) -> list[PersonGradients]:
        """The gradients of each person, for each of `variables`.

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
        with tf.GradientTape() as tape, recorded_calls(self._layers, NETWORK_LAYERS) as calls:
            tape.watch(history)
            inputs = [history, chunk[schema.HISTORY_EVENTS], chunk[schema.HISTORY_GAPS]]
            queries = self.model.scaled(self.model.body(inputs, training=False))
        memory, repeats = self._memory_scores(chunk, labels), self._repeat_terms(chunk)
        cosines = catalogue_product(queries, tf.transpose(shared["units"]))
        biased = cosines + shared["biases"] if "biases" in shared else cosines
        logits = self._with_repeats(self._with_memory(biased, memory), repeats)
        by_logits = softmax_gradients(logits, labels)
        by_queries = catalogue_product(by_logits, shared["units"])
        by_history, *by_outputs = tape.gradient(queries, [history, *(call.output for call in calls)], by_queries)
        network = gradients_of_calls(calls, by_outputs, self.model.body.trainable_variables)
        gradients = [*network, Explicit(-tf.reduce_sum(queries * by_queries, axis=[1, 2]))]
        gradients += [Explicit(WEIGHT_RATE * tf.reduce_sum(by_logits * scores, axis=[1, 2])) for scores in memory]
        if self._repeats:
            at_cells = tf.gather(by_logits, repeats["columns"], batch_dims=2)
            gradients.append(Explicit(tf.einsum("bpt,bcpt->bc", at_cells, repeats["terms"])))
        if self._ids:
            items = chunk[schema.HISTORY_ITEMS]
            read = by_history * tf.cast(items >= 0, tf.float32)[..., None]
            parts = ItemVectorGradients(by_logits, queries, cosines, read, tf.maximum(items, 0), shared)
            gradients.append(parts)
        return gradients

    def _labels(self, chunk: Tensors) -> tf.Tensor:
        """The labels that are learnt; those on items that the model never lists are left out."""
        labels = chunk[LABELS]
        if not self._never:
            return labels
        same = labels[:, :, None] == chunk[schema.HISTORY_ITEMS][:, None, :]
        repeated = tf.reduce_any(tf.linalg.band_part(tf.cast(same, tf.int32), -1, 0) > 0, axis=2)
        return tf.where(repeated, schema.PADDING, labels)

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


@dataclass(frozen=True)
class ItemVectorGradients:
    """The gradients by the item vectors, of items as candidates and in the history, which are never made.

    As a candidate, item i has the gradient Σ_t b_ti (q_t − (u_i · q_t) u_i) / |v_i|: a unit vector does not get longer.

    Args:
        by_logits: float32 `[people, length, num_items]`, b.
        queries: float32 `[people, length, dim]`, q.
        cosines: float32 `[people, length, num_items]`, their products with the unit vectors u.
        by_history: float32 `[people, length, dim]`, the gradient by the vectors of the history's items; 0 at padding.
        items: int32 `[people, length]`, those items.
        shared: The result of `shared_values`.
    """

    by_logits: tf.Tensor
    queries: tf.Tensor
    cosines: tf.Tensor
    by_history: tf.Tensor
    items: tf.Tensor
    shared: Tensors

    def squares(self) -> tf.Tensor:
        candidates = tf.reduce_sum(self._between() * dots(self.queries), axis=[1, 2])
        candidates -= tf.reduce_sum(tf.square(self._along() * self._inverse_lengths()), axis=1)
        same = tf.cast(self.items[:, :, None] == self.items[:, None, :], tf.float32)
        history = tf.reduce_sum(same * dots(self.by_history), axis=[1, 2])
        return candidates + history + 2.0 * tf.reduce_sum(self._candidates_in_history() * self.by_history, axis=[1, 2])

    def rounding(self) -> tf.Tensor:
        candidates = tf.sqrt(tf.linalg.diag_part(self._between()) * tf.linalg.diag_part(dots(self.queries)))
        history = tf.sqrt(tf.linalg.diag_part(dots(self.by_history)))
        return ROUNDING * tf.square(tf.reduce_sum(candidates + history, axis=1))

    def weighted_sum(self, factors: tf.Tensor) -> tf.Tensor:
        wide = factors[:, None, None]
        along = tf.tensordot(factors, self._along(), 1) * self._inverse_lengths()
        candidates = flat_product(self._scaled(), wide * self.queries) - along[:, None] * self.shared["units"]
        return tf.tensor_scatter_nd_add(candidates, self.items[..., None], wide * self.by_history)

    def only(self, finite: tf.Tensor) -> ItemVectorGradients:
        names = ("by_logits", "queries", "cosines", "by_history")
        return replace(self, **{name: where_person(finite, getattr(self, name)) for name in names})

    def _between(self) -> tf.Tensor:
        """The dot products of b over |v| at two positions, float32 `[people, length, length]`."""
        return dots(self._scaled())

    def _scaled(self) -> tf.Tensor:
        """b over |v|, float32 `[people, length, num_items]`."""
        return self.by_logits * self._inverse_lengths()

    def _along(self) -> tf.Tensor:
        """Σ_t b_ti (u_i · q_t), float32 `[people, num_items]`."""
        return tf.reduce_sum(self.by_logits * self.cosines, axis=1)

    def _candidates_in_history(self) -> tf.Tensor:
        """The gradients as candidates of the history's items, float32 `[people, length, dim]`."""
        at_items = tf.gather(self.by_logits, self.items, axis=2, batch_dims=1)
        along = tf.gather(self._along(), self.items, batch_dims=1)[..., None]
        by_units = tf.matmul(at_items, self.queries, transpose_a=True)
        scale = tf.gather(self._inverse_lengths(), self.items)[..., None]
        return (by_units - along * tf.gather(self.shared["units"], self.items)) * scale

    def _inverse_lengths(self) -> tf.Tensor:
        """1 / |v_i|, float32 `[num_items]`."""
        return tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(self.shared["vectors"]), axis=-1), 1e-12))
