"""What is added to the scores of the neighbours of a history: what people take near its items, and what reads alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.next_item.history_ops import newest_places, rows_at, used_columns
from tfrec.models.next_item.repeat_bias import last_occurrence
from tfrec.models.next_item.sparse_ops import lookup_columns, scattered, spread, summed_by_index
from tfrec.models.shared.neighbours import rarity

READ = 200
"""Events of a history that are read, the newest; the next one would weigh 0.13 at the slowest decay of the balance."""

_WEIGHT_RATE = 5.0


class NeighbourMemory(keras.layers.Layer):
    """Adds to the scores what stands near the history's items in training sequences, and what reads like them.

    The score of item j gets `a · log(1 + Σ_t decay^t · r[i_t] · C[i_t, j]) + b · Σ_t decay^t · T[i_t, j]`, where t = 0
    is the newest event of the history, C counts how often j is near i in training (`history_neighbours`), T is a kernel
    of their texts' cosine (`text_neighbours`), both kept for the strongest few dozen neighbours of each item, and a and
    b are learned. The model then learns what the counts don't say. (Blending a memory with a network is an old idea:
    cache language models, kNN-LM, https://arxiv.org/abs/1911.00172.)

    `r[i] = (typical frequency / frequency of i)^discount`: a pair counted with a rare item tells more than one with an
    item that everybody takes. 0 takes counts as they are, 1 shares of the item's events (item-based top-N, Deshpande &
    Karypis 2004, https://doi.org/10.1145/963770.963776).

    In training the counts hold the very event that is to be predicted, which would make the memory look better than it
    is. So the pairs of the sequence itself are taken out again: the memory is that of all other people.

    Args:
        num_items: int. Items in the catalogue.
        k: int. Neighbours an item that share a history with it; 0 for none.
        text_k: int. Neighbours an item that read like it; 0 for none.
        window: int. Distance within which two events were counted.
        decay: float in (0, 1]. Weight of an event relative to the one after it; kept with the weights.
        discount: float. How much the counts of a frequent item are discounted; kept with the weights.

    Call arguments:
        items: int32 `[batch, length]`, oldest first, −1 is padding (on the right) or an event that is not read, as a
            dislike. The newest 200 are read.

    Returns:
        indices: int32 `[batch, min(length, 200) * (k + text_k)]`, 0 where there is nothing. values: float32 of the same
            shape, to be added to the scores at `indices`, where those of an item that occurs twice add up; 0 where
            there is nothing.
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
            self.scaled_weight = self.add_weight(
                "weight", (), initializer=keras.initializers.Constant(1 / _WEIGHT_RATE)
            )
        if self.text_k:
            shape = (self.num_items, self.text_k)
            self.alike = self.add_weight("alike", shape, "int32", none, trainable=False)
            self.kernel = self.add_weight("kernel", shape, initializer="zeros", trainable=False)
            self.scaled_text_weight = self.add_weight(
                "text_weight", (), initializer=keras.initializers.Constant(1 / _WEIGHT_RATE)
            )
        super().build(input_shape)

    @property
    def weight(self) -> tf.Tensor:
        """float32 scalar: a, of the neighbours in histories."""
        return self.scaled_weight * _WEIGHT_RATE

    @property
    def text_weight(self) -> tf.Tensor:
        """float32 scalar: b, of the neighbours by text."""
        return self.scaled_text_weight * _WEIGHT_RATE

    def assign(
        self,
        weight: float | None = None,
        text_weight: float | None = None,
        decay: float | None = None,
        discount: float | None = None,
    ) -> None:
        """Sets a, b, the decay and the discount; None leaves one as it is."""
        if weight is not None:
            self.scaled_weight.assign(weight / _WEIGHT_RATE)
        if text_weight is not None:
            self.scaled_text_weight.assign(text_weight / _WEIGHT_RATE)
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
        """Sets the neighbours: what `history_neighbours` and `text_neighbours` return; None where k or text_k is 0.

        `frequencies`, int `[num_items]`, is how often each item was taken in training; None discounts nothing.
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
        for name, (indices, values) in self.entries(items).items():
            if name == "weight":  # its part is not linear in the sum
                indices, values = summed_by_index(indices, values)
            parts.append((tf.maximum(indices, 0), getattr(self, name) * self.part_of(name, values)))
        return tf.concat([i for i, _ in parts], axis=1), tf.concat([v for _, v in parts], axis=1)

    @property
    def parts(self) -> list[str]:
        """Names of the strengths there are: "weight" with history neighbours, "text_weight" with text neighbours."""
        return [*(["weight"] if self.k else []), *(["text_weight"] if self.text_k else [])]

    @property
    def strengths(self) -> list[tf.Variable]:
        """The variables behind `assign`."""
        fixed = [self.decay, *([self.discount] if self.k else [])]
        scaled = [*([self.scaled_weight] if self.k else []), *([self.scaled_text_weight] if self.text_k else [])]
        return [*fixed, *scaled]

    def entries(self, items: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """What each event of a history tells about its neighbours, by the name of the strength.

        Args:
            items: int32 `[batch, length]`.

        Returns:
            For each of `parts`: indices, int32 `[batch, min(length, 200) * k]`, −1 for none, which the history alone
            decides, and float32 values of the same shape, weighted by age. `part_of` their sums by item is what the
            strength multiplies.
        """
        items, found = _read(items), {}
        if self.k:
            found["weight"] = self._entries(items, self.near, self._counts_of)
        if self.text_k:
            found["text_weight"] = self._entries(items, self.alike, self._kernel_of)
        return found

    @staticmethod
    def part_of(name: str, sums: tf.Tensor) -> tf.Tensor:
        """What the strength `name` multiplies, of the sums of `entries`, float32 of any shape."""
        return tf.math.log1p(sums) if name == "weight" else sums

    def parts_of_whole(self, items: tf.Tensor) -> dict[str, tf.Tensor]:
        """What "weight" and "text_weight" multiply, for the whole catalogue: float32 `[batch, num_items]` each."""
        shape = tf.stack([tf.shape(items)[0], self.num_items])
        return {name: self.part_of(name, scattered(*found, shape)) for name, found in self.entries(items).items()}

    def of_whole(self, items: tf.Tensor) -> tf.Tensor:
        """What is added to the scores of the whole catalogue, float32 `[batch, num_items]`."""
        return tf.add_n([getattr(self, name) * part for name, part in self.parts_of_whole(items).items()])

    def weights_used(self) -> list[tf.Tensor]:
        """The learned scalars, in the order of `parts`."""
        return [getattr(self, name) for name in self.parts]

    def parts_at_labels(
        self,
        items: tf.Tensor,
        labels: tf.Tensor,
        width: tf.Tensor,
        columns: tf.Tensor | None = None,
        every_place: bool = False,
    ) -> list[tf.Tensor]:
        """What the weights multiply in training: as `parts_of_whole`, after each prefix that has a label.

        Args:
            items: int32 `[batch, length]`.
            labels: int32 `[batch, length]`, the item that followed each position; −1 where there is none.
            width: int32 scalar, how many items are scored.
            columns: int32 `[num_items]`, the column of the scores that each item has, −1 for none; None for a column
                an item.
            every_place: bool. Whether a row is wanted for every place, label or not.

        Returns:
            float32 `[places, width]` for each of `parts`, a row for each place that `rows_at` takes. What the sequence
            itself has put into the memory is left out; pairs with an event outside `items` and `labels` (of a history
            cut into windows) are not known and stay.
        """
        batch, length = tf.unstack(tf.shape(items))
        age = tf.cast(tf.range(length)[:, None] - tf.range(length)[None, :], tf.float32)
        fade = tf.where(age >= 0, tf.pow(self.decay, tf.abs(age)), 0.0)

        def of_events(indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            """Values `[batch, length, n]` at items, as float32 `[batch, length, width]`."""
            found = tf.reshape(lookup_columns(columns, indices), [batch * length, -1])
            return tf.reshape(spread(found, tf.reshape(values, [batch * length, -1]), width), [batch, length, width])

        def after_prefixes(events: tf.Tensor) -> tf.Tensor:
            """What each event adds, faded and summed up to the places that are scored: `[places, width]`."""
            return rows_at(tf.linalg.matmul(fade, events), labels >= 0, every_place)

        real, known, found = tf.cast(items >= 0, tf.float32)[..., None], tf.maximum(items, 0), []
        if self.k:
            whole, own = self._own(items, labels)
            indices = tf.concat([tf.gather(self.near, known), tf.tile(whole[:, None], [1, length, 1])], axis=2)
            others = of_events(indices, tf.concat([self._counts_of(known) * real, -own], axis=2))
            # below 0 is what the sequence has put there of a neighbour beyond the k-th, which is not in the memory
            found.append(tf.math.log1p(after_prefixes(tf.nn.relu(others))))
        if self.text_k:
            found.append(after_prefixes(of_events(tf.gather(self.alike, known), self._kernel_of(known) * real)))
        return found

    def _counts_of(self, items: tf.Tensor) -> tf.Tensor:
        """float32 `[..., k]`: the counts of items, all 0 or above, discounted."""
        return tf.gather(self.counts, items) * self._discounts(items)[..., None]

    def _kernel_of(self, items: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.kernel, items)

    def _discounts(self, items: tf.Tensor) -> tf.Tensor:
        return tf.exp(self.discount * tf.gather(self.rarity, items))

    def _entries(
        self, items: tf.Tensor, indices: tf.Tensor, values: Callable[[tf.Tensor], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The neighbours of every event, weighted by its age: int32 and float32 `[batch, length * k]`; −1 for none."""
        real = items >= 0
        length = used_columns(items)[:, None]
        age = tf.cast(tf.maximum(length - 1 - tf.range(tf.shape(items)[1]), 0), tf.float32)
        found = tf.where(real[..., None], tf.gather(indices, tf.maximum(items, 0)), -1)
        weighted = values(tf.maximum(items, 0)) * tf.pow(self.decay, age)[..., None]
        weighted = tf.where(found >= 0, weighted, 0.0)
        shape = tf.stack([tf.shape(items)[0], tf.shape(items)[1] * indices.shape[1]])
        return tf.reshape(found, shape), tf.reshape(weighted, shape)

    def _own(self, items: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The items of each sequence, labels included, int32 `[batch, length + 1]`, and what the sequence itself has
        counted of them near each position's item, float32 `[batch, length, length + 1]`."""
        batch, length = tf.unstack(tf.shape(items))
        count = used_columns(tf.maximum(items, labels))  # what follows an event that is not read is known as a label
        last = tf.gather(labels, tf.maximum(count - 1, 0), axis=1, batch_dims=1)
        whole = tf.pad(items, [[0, 0], [0, 1]], constant_values=-1)
        whole = tf.tensor_scatter_nd_update(whole, tf.stack([tf.range(batch), count], axis=1), last)
        same = tf.cast((whole[:, :, None] == whole[:, None, :]) & (whole >= 0)[:, :, None], tf.float32)
        place = tf.range(length + 1)
        distance = tf.abs(place[:, None] - place[None, :])
        near = tf.cast((distance > 0) & (distance <= self.window), tf.float32)
        pairs = tf.linalg.matmul(tf.linalg.matmul(same, tf.broadcast_to(near, tf.shape(same))), same)[:, :length]
        pairs *= tf.cast(last_occurrence(whole), tf.float32)[:, None, :] * (1 - same[:, :length])
        pairs *= tf.cast(items >= 0, tf.float32)[:, :, None]
        return tf.maximum(whole, 0), pairs * self._discounts(tf.maximum(items, 0))[:, :, None]

    def get_config(self) -> dict[str, Any]:
        config = {"num_items": self.num_items, "k": self.k, "text_k": self.text_k}
        return {
            **super().get_config(),
            **config,
            "window": self.window,
            "decay": self.start_decay,
            "discount": self.start_discount,
        }


def _read(items: tf.Tensor) -> tf.Tensor:
    """The newest `READ` of int32 `[batch, length]`."""
    return tf.gather(items, newest_places(items, READ), batch_dims=1)
