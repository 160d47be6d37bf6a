"""Gradients of single people, in the forms in which their norms and their sums are cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

ROUNDING = 2.0**-18
"""Relative error of squares that are differences of larger ones, far above that of float32."""


class PersonGradients(Protocol):
    """The gradients of one variable, of each person of a chunk."""

    def squares(self) -> tf.Tensor:
        """The squared norms, float32 `[people]`."""

    def rounding(self) -> tf.Tensor:
        """By how much the squares may be too small, float32 `[people]`."""

    def weighted_sum(self, factors: tf.Tensor) -> tf.Tensor:
        """The sum over people of their gradients times `factors`, float32 `[people]`; of the variable's shape."""

    def only(self, finite: tf.Tensor) -> PersonGradients:
        """The gradients, 0 where `finite`, bool `[people]`, is false: a factor of 0 would not do, as 0 · ∞ is NaN."""


@dataclass(frozen=True)
class Explicit:
    """Gradients that are there as they are.

    Args:
        values: float32 `[people, *shape]`.
    """

    values: tf.Tensor

    def squares(self) -> tf.Tensor:
        return tf.reduce_sum(tf.square(tf.reshape(self.values, [tf.shape(self.values)[0], -1])), axis=1)

    def rounding(self) -> tf.Tensor:
        return tf.zeros([tf.shape(self.values)[0]])

    def weighted_sum(self, factors: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(factors, self.values, 1)

    def only(self, finite: tf.Tensor) -> Explicit:
        return Explicit(where_person(finite, self.values))


@dataclass(frozen=True)
class Products:
    """Gradients of a matrix that each position of a history is multiplied by: sums over positions of outer products.

    They are never made. The squared norm is the sum over pairs of positions of the products of two dot products (ghost
    norms, Goodfellow 2015, https://arxiv.org/abs/1510.01799), and the sum over people is the product that a plain step
    makes, with a factor for each person (book-keeping, https://arxiv.org/abs/2210.00038).

    Args:
        inputs: float32 `[people, length, n]`, what is multiplied by the matrix.
        by_outputs: float32 `[people, length, m]`, the gradient by what comes out.
    """

    inputs: tf.Tensor
    by_outputs: tf.Tensor

    def squares(self) -> tf.Tensor:
        return tf.reduce_sum(dots(self.inputs) * dots(self.by_outputs), axis=[1, 2])

    def rounding(self) -> tf.Tensor:
        squares = tf.linalg.diag_part(dots(self.inputs)) * tf.linalg.diag_part(dots(self.by_outputs))
        return ROUNDING * tf.square(tf.reduce_sum(tf.sqrt(squares), axis=1))

    def weighted_sum(self, factors: tf.Tensor) -> tf.Tensor:
        return flat_product(self.inputs * factors[:, None, None], self.by_outputs)

    def only(self, finite: tf.Tensor) -> Products:
        return Products(where_person(finite, self.inputs), where_person(finite, self.by_outputs))


def flat_product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """The sum over people and positions of outer products, `[n, m]`, of `[people, length, n]` and `[..., m]`."""
    flat_left, flat_right = (tf.reshape(part, [-1, part.shape[-1]]) for part in (left, right))
    return tf.matmul(flat_left, flat_right, transpose_a=True)


def where_person(finite: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`values`, `[people, ...]`, with 0 in the place of people for whom `finite` is false."""
    wide = tf.reshape(finite, tf.concat([[-1], tf.ones([tf.rank(values) - 1], tf.int32)], axis=0))
    return tf.where(wide, values, tf.zeros([], values.dtype))


def dots(vectors: tf.Tensor) -> tf.Tensor:
    """The dot products of the vectors of each person, float32 `[people, length, length]`."""
    return tf.matmul(vectors, vectors, transpose_b=True)
