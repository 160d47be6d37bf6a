"""A bias on the scores of the most popular items."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.keras import keras


class PopularityBias(keras.layers.Layer):
    """A bias of `weight · log(n / n₀)` on the `count` most popular items, the same for every history.

    n is how often the item was a target in training, and n₀ how often the least popular of these items was, so that its
    bias is 0 like that of all other items. During training the weight is 0, because the item vectors learn popularity
    themselves. The search for score weights raises it if they have learnt too little, as on logs in which popularity is
    almost all that can be learnt.

    Args:
        count: int. Number of items with a bias.

    Call arguments:
        items: int32 `[batch, length]`. Only the number of rows matters.

    Returns:
        indices: int32 `[batch, count]`, the items. values: float32 `[batch, count]`, their biases.

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
        """Sets the items and their popularity.

        Args:
            counts: int `[num_items]`, how often each item was a target; at least `count` items. Of items with equal
                counts, the first ones are taken.
        """
        order = np.argsort(-counts, kind="stable")[: self.count]
        often = np.maximum(counts[order], 1)
        self.popular.assign(order.astype(np.int32))
        self.raised.assign(np.log(often / often[-1]).astype(np.float32))

    def call(self, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.stack([tf.shape(items)[0], self.count])
        return tf.broadcast_to(self.popular, shape), tf.broadcast_to(self.weight * self.raised, shape)

    def catalogue_log_popularity(self, num_items: int) -> tf.Tensor:
        """log(n / n₀) of each item, 0 for items without a bias: float32 `[num_items]`. The weight multiplies it."""
        return tf.tensor_scatter_nd_update(tf.zeros([num_items]), self.popular[:, None], self.raised)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}
