"""What is added to the scores of items that a history holds already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.next_item.history_ops import newest

_BIAS_RATE = 20.0


class RepeatBias(keras.layers.Layer):
    """Learned numbers for items the user already has: a bias on the newest item, one on the others, and a slope.

    An item that occurs n times in the history gets `bias + slope · log n` added to its score, and where there are
    several behaviours a number for the kind of its newest event: what was only viewed may well be bought, what was
    bought is not viewed again. Models otherwise fill the top of the list with what is in the history; where people buy
    again, and again what they buy most, the bias and the slope learn the opposite sign. They have far to go and get 20
    times the learning rate: at the rate of the other layers the bias was at −0.6 on Amazon Scientific when it should
    have been at −3, which cost a sixth of the validation NDCG@10.

    Args:
        kinds: int. Event kinds in the data; of fewer than two none is told apart.

    Call arguments:
        items: int32 `[batch, length]`, oldest first, −1 is padding (on the right).
        events: int32 `[batch, length]`, the event kinds; an unknown one, as −1, adds nothing. None for all unknown.

    Returns:
        indices: int32 `[batch, length]`, 0 at padding. values: float32 `[batch, length]`, to be added to the scores at
        `indices`. An item that occurs several times carries its value once; the rest, and padding, carry 0.
    """

    def __init__(self, kinds: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = kinds if kinds > 1 else 0

    def build(self, input_shape: Any) -> None:
        self.scaled = self.add_weight("bias", shape=(3 + self.kinds,), initializer="zeros")
        super().build(input_shape)

    @property
    def numbers(self) -> tf.Tensor:
        """float32 `[3 + kinds]`: bias on the newest item, bias on each other item of the history, slope, and what is
        added by the kind of an item's newest event."""
        return self.scaled * _BIAS_RATE

    def start_at(self, bias: float) -> None:
        """Starts both biases at `bias` and the slope at 0."""
        self.assign([bias, bias, 0.0])

    def assign(self, numbers: Sequence[float]) -> None:
        """Sets the first three of `numbers`; those of the kinds stay."""
        of_kinds = tf.convert_to_tensor(self.scaled)[3:]
        self.scaled.assign(tf.concat([np.asarray(numbers, np.float32) / _BIAS_RATE, of_kinds], axis=0))

    def of_kind(self, events: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """What `numbers` add by the kinds of events, int32 of any shape, float32 of the same; 0 for unknown ones."""
        if not self.kinds:
            return tf.zeros(tf.shape(events))
        return tf.linalg.matvec(tf.one_hot(events, self.kinds), numbers[3:])

    def call(self, items: tf.Tensor, events: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = self.numbers
        last, count = occurrences(items)
        values = tf.where(items == newest(items)[:, None], numbers[0], numbers[1]) + numbers[2] * tf.math.log(count)
        values += 0.0 if events is None else self.of_kind(events, numbers)
        return tf.maximum(items, 0), tf.where(last, values, 0.0)

    def at_every_position(self, items: tf.Tensor, events: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for each prefix of the histories at once.

        Args:
            items: int32 `[batch, length]`.
            events: int32 `[batch, length]`.
            numbers: `self.numbers`, handed in so that the caller can take gradients part by part.

        Returns:
            indices: int32 `[batch, length, length]` and values: float32 of the same shape; entry [b, p, t] is about the
            item at position t, as seen from the prefix that ends at position p.
        """
        length = tf.shape(items)[1]
        past = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
        same = items[:, :, None] == items[:, None, :]
        count = tf.cumsum(tf.cast(same, tf.float32), axis=1)
        number = tf.linalg.diag_part(count)[:, None, :]  # of the event among those on its item
        last = past & (count == number) & (items >= 0)[:, None, :]  # the prefix has no later event on the item
        values = tf.where(same, numbers[0], numbers[1]) + numbers[2] * tf.math.log(tf.maximum(count, 1.0))
        values += self.of_kind(events, numbers)[:, None, :]
        return tf.broadcast_to(tf.maximum(items, 0)[:, None, :], tf.shape(values)), tf.where(last, values, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kinds": self.kinds}


def occurrences(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which positions hold an item for the last time in their row, and how often the row holds it.

    Args:
        items: int32 `[batch, length]`, −1 is padding.

    Returns:
        bool `[batch, length]`, false at padding; float32 `[batch, length]`, at padding the number of its columns.

    Example:
        >>> last, count = occurrences(tf.constant([[7, 5, 7, -1]]))
        >>> last.numpy().tolist(), count.numpy().tolist()
        ([[False, True, True, False]], [[2.0, 1.0, 2.0, 1.0]])
    """
    batch, length = tf.unstack(tf.shape(items))
    order = tf.argsort(items, axis=1, stable=True)  # a comparison of all pairs would take length² numbers a row
    ordered = tf.gather(items, order, batch_dims=1)
    differ, edge = ordered[:, 1:] != ordered[:, :-1], tf.ones([batch, 1], tf.bool)
    starts, ends = tf.concat([edge, differ], axis=1)[:, :length], tf.concat([differ, edge], axis=1)[:, :length]
    run = tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1 + tf.range(batch)[:, None] * length
    sizes = tf.math.unsorted_segment_sum(tf.ones([batch * length]), tf.reshape(run, [-1]), batch * length)
    back = tf.argsort(order, axis=1)
    last = tf.gather(ends, back, batch_dims=1) & (items >= 0)
    return last, tf.gather(tf.gather(sizes, run), back, batch_dims=1)


def last_occurrence(items: tf.Tensor) -> tf.Tensor:
    """bool `[batch, length]`: real, and no later column of the row holds the same item."""
    return occurrences(items)[0]
