"""The neighbour memory: scores from co-occurrence neighbours and text neighbours of the items of a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.next_item.history_ops import decayed_prefix_sums, newest_positions, select_rows, used_columns
from tfrec.models.next_item.repeat_bias import last_occurrence
from tfrec.models.next_item.sparse_ops import bincount_scatter_sum, gather_columns, scatter_sum, sum_duplicates
from tfrec.models.shared.neighbours import rarity

MAX_EVENTS = 200
"""Number of newest events used. At the slowest decay of the search (0.99), the next one would have weight 0.13."""

WEIGHT_RATE = 5.0


class NeighbourMemory(keras.layers.Layer):
    """Scores the neighbours of the items of a history: those that co-occur with them, and those with similar texts.

    The score of item j is `a · log(1 + Σ_t decay^t · r[i_t] · C[i_t, j]) + b · Σ_t decay^t · T[i_t, j]`, where i_t is
    the item of the event t steps before the newest one, C counts how often j is near i in training sequences
    (`history_neighbours`), and T is a kernel of the cosine of their texts (`text_neighbours`). Both are kept for the
    best few dozen neighbours of each item; a and b are learned. The network then learns what the counts do not say.
    (Cache language models and kNN-LM also interpolate a memory with a network, https://arxiv.org/abs/1911.00172.)

    `r[i] = (typical frequency / frequency of i)^discount`: co-occurrence with a rare item says more than with an item
    that everybody takes. Discount 0 uses plain counts, discount 1 shares of the item's events (item-based top-N,
    Deshpande & Karypis 2004, https://doi.org/10.1145/963770.963776).

    During training the counts include the event to predict, which would make the memory look better than it is. So the
    pairs of the sequence itself are subtracted: each sequence sees the counts of all others.

    Args:
        num_items: int. Items in the catalogue.
        k: int. Number of co-occurrence neighbours of an item; 0 for none.
        text_k: int. Number of text neighbours of an item; 0 for none.
        window: int. Maximum distance of two events whose co-occurrence was counted.
        decay: float in (0, 1]. Weight of an event relative to the next one; initial value, saved with the weights.
        discount: float. Exponent of the discount of frequent items; initial value, saved with the weights.

    Call arguments:
        items: int32 `[batch, length]`, oldest first, −1 is padding (on the right) or an event that is left out, such as
            a dislike. The newest 200 are used.

    Returns:
        indices: int32 `[batch, min(length, 200) * (k + text_k)]`, items, 0 at padding. values: float32 of the same
        shape, to be added to the scores of these items, 0 at padding. Values of the same item add up.
    """

    def __init__(
        self,
        num_items: int,
        k: int = 32,
        text_k: int = 32,
        window: int = 10,
        decay: float = 0.8,
        discount: float = 0.3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_items, self.k, self.text_k, self.window = num_items, k, text_k, window
        self.start_decay, self.start_discount = decay, discount

    def build(self, input_shape: Any) -> None:
        none, start = keras.initializers.Constant(-1), keras.initializers.Constant(self.start_decay)
        self.decay = self.add_weight("decay", (), initializer=start, trainable=False)
        if self.k:
            shape = (self.num_items, self.k)
            self.near = self.add_weight("near", shape, "int32", none, trainable=False)
            self.counts = self.add_weight("counts", shape, initializer="zeros", trainable=False)
            self.rarity = self.add_weight("rarity", (self.num_items,), initializer="zeros", trainable=False)
            start = keras.initializers.Constant(self.start_discount)
            self.discount = self.add_weight("discount", (), initializer=start, trainable=False)
            self.scaled_weight = self.add_weight("weight", (), initializer=keras.initializers.Constant(1 / WEIGHT_RATE))
        if self.text_k:
            shape = (self.num_items, self.text_k)
            self.alike = self.add_weight("alike", shape, "int32", none, trainable=False)
            self.kernel = self.add_weight("kernel", shape, initializer="zeros", trainable=False)
            self.scaled_text_weight = self.add_weight(
                "text_weight", (), initializer=keras.initializers.Constant(1 / WEIGHT_RATE)
            )
        super().build(input_shape)

    @property
    def weight(self) -> tf.Tensor:
        """float32 scalar: a, the weight of the co-occurrence neighbours."""
        return self.scaled_weight * WEIGHT_RATE

    @property
    def text_weight(self) -> tf.Tensor:
        """float32 scalar: b, the weight of the text neighbours."""
        return self.scaled_text_weight * WEIGHT_RATE

    def assign(
        self,
        weight: float | None = None,
        text_weight: float | None = None,
        decay: float | None = None,
        discount: float | None = None,
    ) -> None:
        """Sets the score weights; None keeps a weight as it is.

        Args:
            weight: float. a, of the co-occurrence neighbours.
            text_weight: float. b, of the text neighbours.
            decay: float in (0, 1]. Weight of an event relative to the next one.
            discount: float. Exponent of the discount of frequent items.
        """
        if weight is not None:
            self.scaled_weight.assign(weight / WEIGHT_RATE)
        if text_weight is not None:
            self.scaled_text_weight.assign(text_weight / WEIGHT_RATE)
        if decay is not None:
            self.decay.assign(decay)
        if discount is not None:
            self.discount.assign(discount)

    def remember(
        self,
        near: tuple[np.ndarray, np.ndarray] | None,
        alike: tuple[np.ndarray, np.ndarray] | None,
        frequencies: np.ndarray | None = None,
    ) -> None:
        """Sets the neighbours.

        Args:
            near: The result of `history_neighbours`: int32 and float32 `[num_items, k]`. None if k is 0.
            alike: The result of `text_neighbours`: int32 and float32 `[num_items, text_k]`. None if text_k is 0.
            frequencies: int `[num_items]`, how often each item was taken in training. None discounts no item.
        """
        if near is not None:
            self.near.assign(near[0])
            self.counts.assign(near[1])
            self.rarity.assign(np.zeros(self.num_items, np.float32) if frequencies is None else rarity(frequencies))
        if alike is not None:
            self.alike.assign(alike[0])
            self.kernel.assign(alike[1])

    def call(self, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parts = []
        for name, (indices, values) in self.neighbour_entries(items).items():
            if name == "weight":  # its score is not linear in the sum
                indices, values = sum_duplicates(indices, values)
            parts.append((tf.maximum(indices, 0), getattr(self, name) * self.unweighted_scores(name, values)))
        return tf.concat([i for i, _ in parts], axis=1), tf.concat([v for _, v in parts], axis=1)

    @property
    def weight_names(self) -> list[str]:
        """Names of the learned weights: "weight" with co-occurrence neighbours, "text_weight" with text neighbours."""
        return [*(["weight"] if self.k else []), *(["text_weight"] if self.text_k else [])]

    @property
    def score_weight_variables(self) -> list[tf.Variable]:
        """The variables that `assign` sets."""
        fixed = [self.decay, *([self.discount] if self.k else [])]
        scaled = [*([self.scaled_weight] if self.k else []), *([self.scaled_text_weight] if self.text_k else [])]
        return [*fixed, *scaled]

    def neighbour_entries(self, items: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """The neighbours of each event of a history, with their counts or kernel values after decay.

        Args:
            items: int32 `[batch, length]`, oldest first, −1 is padding.

        Returns:
            For each of `weight_names`: indices, int32 `[batch, min(length, 200) * k]`, −1 at padding, which do not
            depend on the score weights; and values, float32 of the same shape. `unweighted_scores` takes their sums by
            item.
        """
        items, entries = _newest_items(items), {}
        if self.k:
            entries["weight"] = self._weighted_neighbours(items, self.near, self._discounted_counts)
        if self.text_k:
            entries["text_weight"] = self._weighted_neighbours(items, self.alike, self._kernel_values)
        return entries

    @staticmethod
    def unweighted_scores(name: str, sums: tf.Tensor) -> tf.Tensor:
        """The scores that the weight `name` multiplies, from sums by item of `neighbour_entries`: float32."""
        return tf.math.log1p(sums) if name == "weight" else sums

    def unweighted_catalogue_scores(self, items: tf.Tensor) -> dict[str, tf.Tensor]:
        """The scores that each of `weight_names` multiplies: float32 `[batch, num_items]` each."""
        shape = tf.stack([tf.shape(items)[0], self.num_items])
        return {
            name: self.unweighted_scores(name, scatter_sum(*entries, shape))
            for name, entries in self.neighbour_entries(items).items()
        }

    def catalogue_scores(self, items: tf.Tensor) -> tf.Tensor:
        """The memory's scores of the whole catalogue, float32 `[batch, num_items]`."""
        return tf.add_n([getattr(self, name) * part for name, part in self.unweighted_catalogue_scores(items).items()])

    def learned_weights(self) -> list[tf.Tensor]:
        """The learned weights, float32 scalars in the order of `weight_names`."""
        return [getattr(self, name) for name in self.weight_names]

    def unweighted_scores_at_labels(
        self,
        items: tf.Tensor,
        labels: tf.Tensor,
        width: tf.Tensor,
        columns: tf.Tensor | None = None,
        every_position: bool = False,
        without_own: bool = True,
    ) -> list[tf.Tensor]:
        """The scores that the weights multiply in training, after each prefix that has a label.

        The pairs of the sequence itself are not counted. Pairs with events outside `items` and `labels`, as when a long
        history is cut into windows, are not known here and are counted.

        Args:
            items: int32 `[batch, length]`, oldest first, −1 is padding.
            labels: int32 `[batch, length]`, the item that followed each position; −1 at positions without a label.
            width: int32 scalar. Number of scored items.
            columns: int32 `[num_items]`, from items to columns of the scores (`item_columns`). None scores the whole
                catalogue.
            every_position: bool. Whether there is a row for every position (`select_rows`).
            without_own: bool. Whether to subtract the pairs of the sequence itself; with counts that are bounded a
                person there is next to nothing to subtract.

        Returns:
            float32 `[rows, width]` for each of `weight_names`.
        """
        batch, length = tf.unstack(tf.shape(items))

        def event_scores(indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            """Scores by each event alone, float32 `[batch, length, width]`; arguments `[batch, length, n]`."""
            flat = tf.reshape(gather_columns(columns, indices), [batch * length, -1])
            return tf.reshape(
                bincount_scatter_sum(flat, tf.reshape(values, [batch * length, -1]), width), [batch, length, width]
            )

        def prefix_scores(scores: tf.Tensor) -> tf.Tensor:
            """Sums over each prefix after decay, float32 `[rows, width]`, of the scores by each event."""
            return select_rows(
                decayed_prefix_sums(scores, tf.convert_to_tensor(self.decay)), labels >= 0, every_position
            )

        real, known, parts = tf.cast(items >= 0, tf.float32)[..., None], tf.maximum(items, 0), []
        if self.k:
            indices, counts = tf.gather(self.near, known), self._discounted_counts(known) * real
            if without_own:
                sequence, own = self._own_pair_counts(items, labels)
                indices = tf.concat([indices, tf.tile(sequence[:, None], [1, length, 1])], axis=2)
                counts = tf.concat([counts, -own], axis=2)
            others = event_scores(indices, counts)
            # negative where a pair of the sequence was not among the k neighbours, and so not in the counts
            parts.append(tf.math.log1p(prefix_scores(tf.nn.relu(others))))
        if self.text_k:
            parts.append(prefix_scores(event_scores(tf.gather(self.alike, known), self._kernel_values(known) * real)))
        return parts

    def _discounted_counts(self, items: tf.Tensor) -> tf.Tensor:
        """float32 `[..., k]`: discounted counts of the neighbours of items, int32 of any shape; never negative."""
        return tf.gather(self.counts, items) * self._discounts(items)[..., None]

    def _kernel_values(self, items: tf.Tensor) -> tf.Tensor:
        """float32 `[..., text_k]`: kernel values of the text neighbours of items."""
        return tf.gather(self.kernel, items)

    def _discounts(self, items: tf.Tensor) -> tf.Tensor:
        """float32 of the shape of `items`: r, the factor on the counts of an item."""
        return tf.exp(self.discount * tf.gather(self.rarity, items))

    def _weighted_neighbours(
        self, items: tf.Tensor, indices: tf.Tensor, values: Callable[[tf.Tensor], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Neighbours of all events, int32 `[batch, length * k]`, and their values after decay, float32. −1 is padding.

        Args:
            items: int32 `[batch, length]`.
            indices: int32 `[num_items, k]`, neighbours of each item.
            values: From items to the values of their neighbours.
        """
        real = items >= 0
        length = used_columns(items)[:, None]
        age = tf.cast(tf.maximum(length - 1 - tf.range(tf.shape(items)[1]), 0), tf.float32)
        neighbours = tf.where(real[..., None], tf.gather(indices, tf.maximum(items, 0)), -1)
        weighted = values(tf.maximum(items, 0)) * tf.pow(self.decay, age)[..., None]
        weighted = tf.where(neighbours >= 0, weighted, 0.0)
        shape = tf.stack([tf.shape(items)[0], tf.shape(items)[1] * indices.shape[1]])
        return tf.reshape(neighbours, shape), tf.reshape(weighted, shape)

    def _own_pair_counts(self, items: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The discounted co-occurrences that come from each sequence itself.

        Returns:
            sequence: int32 `[batch, length + 1]`, the items of each sequence with its last label; 0 at padding.
            counts: float32 `[batch, length, length + 1]`, how often it has them near the item of each position.
        """
        batch, length = tf.unstack(tf.shape(items))
        count = used_columns(tf.maximum(items, labels))  # the event after a left-out one is known as its label
        last = tf.gather(labels, tf.maximum(count - 1, 0), axis=1, batch_dims=1)
        sequence = tf.pad(items, [[0, 0], [0, 1]], constant_values=-1)
        sequence = tf.tensor_scatter_nd_update(sequence, tf.stack([tf.range(batch), count], axis=1), last)
        same = tf.cast((sequence[:, :, None] == sequence[:, None, :]) & (sequence >= 0)[:, :, None], tf.float32)
        position = tf.range(length + 1)
        distance = tf.abs(position[:, None] - position[None, :])
        near = tf.cast((distance > 0) & (distance <= self.window), tf.float32)
        pairs = tf.linalg.matmul(tf.linalg.matmul(same, tf.broadcast_to(near, tf.shape(same))), same)[:, :length]
        pairs *= tf.cast(last_occurrence(sequence), tf.float32)[:, None, :] * (1 - same[:, :length])
        pairs *= tf.cast(items >= 0, tf.float32)[:, :, None]
        return tf.maximum(sequence, 0), pairs * self._discounts(tf.maximum(items, 0))[:, :, None]

    def get_config(self) -> dict[str, Any]:
        config = {"num_items": self.num_items, "k": self.k, "text_k": self.text_k}
        return {
            **super().get_config(),
            **config,
            "window": self.window,
            "decay": self.start_decay,
            "discount": self.start_discount,
        }


def _newest_items(items: tf.Tensor) -> tf.Tensor:
    """The items of the newest `MAX_EVENTS` events, int32 `[batch, min(length, MAX_EVENTS)]`."""
    return tf.gather(items, newest_positions(items, MAX_EVENTS), batch_dims=1)
