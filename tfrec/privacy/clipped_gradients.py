"""Sums of gradients, one a person, each clipped to a norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrec.privacy.person_gradients import PersonGradients

CHUNK = 16
"""Examples whose scores, and whatever else is computed for each of them, are in memory together."""

_BELOW = 1 - 1e-6
"""The clipped norm over the clip norm: rounding must not lift it above."""


def clipped_sum(
    per_example: Callable[[Any], Sequence[PersonGradients]],
    examples: Any,
    shapes: Sequence[tf.TensorShape],
    clip: float,
) -> list[tf.Tensor]:
    """The sum over examples of their gradients, each scaled down to at most norm `clip`, all variables together.

    A gradient that is not finite counts as 0: it must not change the sum by more than any other.

    Args:
        per_example: From a chunk of `CHUNK` examples to their gradients, one for each shape.
        examples: Nested tensors `[n, ...]`, n a multiple of `CHUNK`.
        shapes: Shapes of the gradients.
        clip: float. The most that one example adds, in Euclidean norm.

    Returns:
        float32 tensors of the given shapes.
    """
    chunks = tf.shape(tf.nest.flatten(examples)[0])[0] // CHUNK

    def add_chunk(number: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first = number * CHUNK
        gradients = per_example(tf.nest.map_structure(lambda values: values[first : first + CHUNK], examples))
        clipped = _clipped_chunk_sum(gradients, clip)
        return (number + 1, *(one + more for one, more in zip(sums, clipped, strict=True)))

    start = [tf.constant(0), *(tf.zeros(shape) for shape in shapes)]
    # one chunk at a time: the point of chunks is memory
    done = tf.while_loop(lambda number, *_: number < chunks, add_chunk, start, parallel_iterations=1)
    return list(done[1:])


def norms_of(gradients: Sequence[PersonGradients]) -> tf.Tensor:
    """The Euclidean norm of each example's gradients over all variables, float32 `[n]`.

    Args:
        gradients: One a variable.
    """
    return tf.sqrt(tf.maximum(tf.add_n([gradient.squares() for gradient in gradients]), 0.0))


def _clipped_chunk_sum(gradients: Sequence[PersonGradients], clip: float) -> list[tf.Tensor]:
    # no norm may be taken for smaller than it is
    most = tf.square(norms_of(gradients)) + tf.add_n([gradient.rounding() for gradient in gradients])
    finite = tf.math.is_finite(most)
    factors = tf.where(finite, tf.minimum(1.0, clip * _BELOW * tf.math.rsqrt(tf.maximum(most, 1e-36))), 0.0)
    return tf.cond(
        tf.reduce_all(finite),
        lambda: [gradient.weighted_sum(factors) for gradient in gradients],
        lambda: [gradient.only(finite).weighted_sum(factors) for gradient in gradients],
    )
