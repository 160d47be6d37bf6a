"""Adam that updates only the rows of an embedding table that a step used."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras

SMALL = 2**20
"""Elements up to which a table is updated in full: reading and writing 4 MB costs next to nothing."""


class LazyAdam(keras.optimizers.Adam):
    """Adam that, for a large table with a sparse gradient, updates only the rows in the gradient and their moments.

    Keras updates every row at every step. With the id vectors of a million items, that reads and writes gigabytes of
    memory for the thousand or so rows that a step with sampled negatives uses. Here a row's vector changes and its
    moments decay only in steps that use the row. Dense gradients, such as those of a softmax over the whole catalogue,
    and tables of up to 2^20 elements are left to Keras. (TensorFlow Addons' LazyAdam is based on the same idea.)

    Example:
        >>> table, optimizer = tf.Variable(tf.ones([2**21, 1])), LazyAdam(0.1)
        >>> for row in (1, 0, 0):
        ...     with tf.GradientTape() as tape:
        ...         loss = tf.reduce_sum(tf.gather(table, [row]))
        ...     _ = optimizer.minimize(loss, [table], tape=tape)
        >>> [round(float(number), 2) for number in table[:3, 0]]  # Keras would also move row 1 in steps 2 and 3
        [0.84, 0.9, 1.0]
    """

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates one variable. Keras calls this with unique indices in a sparse gradient."""
        if not isinstance(gradient, tf.IndexedSlices) or variable.shape.num_elements() <= SMALL:
            super().update_step(gradient, variable)
            return
        rows, place = gradient.indices, self._index_dict[self._var_key(variable)]
        momentum, velocity = self._momentums[place], self._velocities[place]
        step = tf.cast(self.iterations + 1, variable.dtype)
        unbiased = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        rate = tf.cast(self.learning_rate, variable.dtype) * unbiased
        mean, square = tf.gather(momentum, rows), tf.gather(velocity, rows)
        mean += (gradient.values - mean) * (1 - self.beta_1)
        square += (tf.square(gradient.values) - square) * (1 - self.beta_2)
        momentum.scatter_update(tf.IndexedSlices(mean, rows))
        velocity.scatter_update(tf.IndexedSlices(square, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * mean / (tf.sqrt(square) + self.epsilon), rows))
