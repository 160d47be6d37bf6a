"""What is added to the scores of the items that most people take."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras


class PopularityBias(keras.layers.Layer):
    """Adds `weight · log(n / n₀)` to the scores of the most popular items, whatever the history.

    n is how often an item was a target in training, n₀ that of the last of the `count` items kept, so that the others
    go on from 0. The weight is 0 in the fit, where the item vectors learn popularity by themselves, and is raised by
    the balance on validation where they have not learnt enough of it: in logs with little else to learn.

    Args:
        count: int. Items that are kept.

    Call arguments:
        items: int32 `[batch, length]`. Only the number of rows counts.

    Returns:
        indices: int32 `[batch, count]`. values: float32 `[batch, count]`, to be added to the scores at `indices`.

    Example:
        >>> layer = PopularityBias(count=2)
        >>> layer.remember(np.array([1, 8, 0, 2]))
        >>> _ = layer.weight.assign(0.5)
        >>> indices, values = layer(tf.constant([[3]]))
        >>> indices.numpy().tolist(), [round(float(value), 2) for value in values[0]]
        ([[1, 3]], [0.69, 0.0])
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.weight = self.add_weight("weight", (), initializer="zeros", trainable=False)
        self.popular = self.add_weight("popular", (count,), "int32", keras.initializers.Constant(0), trainable=False)
        self.raised = self.add_weight("raised", (count,), initializer="zeros", trainable=False)

    def remember(self, counts: np.ndarray) -> None:
        """Takes int `[num_items]`, at least `count` of them: how often each item was a target. Ties go to the first."""
        order = np.argsort(-counts, kind="stable")[: self.count]
        often = np.maximum(counts[order], 1)
        self.popular.assign(order.astype(np.int32))
        self.raised.assign(np.log(often / often[-1]).astype(np.float32))

    def call(self, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.stack([tf.shape(items)[0], self.count])
        return tf.broadcast_to(self.popular, shape), tf.broadcast_to(self.weight * self.raised, shape)

    def part_of_whole(self, num_items: int) -> tf.Tensor:
        """What the weight multiplies, for the whole catalogue: float32 `[num_items]`."""
        return tf.tensor_scatter_nd_update(tf.zeros([num_items]), self.popular[:, None], self.raised)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}
