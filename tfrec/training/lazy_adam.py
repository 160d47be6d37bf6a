"""Adam that leaves alone the rows of a table that a step has not read."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras

SMALL = 2**20
"""Numbers of a table of which every row is moved: to read and write 4 MB costs nothing."""


class LazyAdam(keras.optimizers.Adam):
    """Keras' Adam; of a large table's sparse gradient only the rows in it are moved, with their moments.

    Keras moves every row at every step, which for the ids of a million items is some gigabytes of memory read and
    written for the thousand rows that a step with drawn negatives reads. Here a row's moments fade and its vector moves
    in the steps that read it. Dense gradients, as of a softmax over the whole catalogue, and tables of up to a million
    numbers are Keras' own. (TensorFlow Addons' LazyAdam is the same idea.)

    Example:
        >>> table, optimizer = tf.Variable(tf.ones([2**21, 1])), LazyAdam(0.1)
        >>> for row in (1, 0, 0):
        ...     with tf.GradientTape() as tape:
        ...         loss = tf.reduce_sum(tf.gather(table, [row]))
        ...     _ = optimizer.minimize(loss, [table], tape=tape)
        >>> [round(float(number), 2) for number in table[:3, 0]]  # Keras would go on moving the row 1
        [0.84, 0.9, 1.0]
    """

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Moves one variable; Keras calls it, with every index of a sparse gradient once."""
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
