"""A loss over parts of a batch, so that what it needs in between never exists for the whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def chunked_sum(
    part: Callable[..., tf.Tensor],
    rows: Sequence[tf.Tensor],
    shared: Sequence[tf.Tensor],
    chunk: tf.Tensor,
    equal_parts: bool = False,
) -> tf.Tensor:
    """The sum of `part` over the rows, a few at a time, with gradients for `rows` and `shared`.

    Each part's gradient is taken as soon as its value is known, so only one part's intermediate results are alive. (The
    idea behind fused cross-entropy kernels, as in Liger, https://arxiv.org/abs/2410.10989.)

    Args:
        part: Called with slices of each of `rows`, then `shared`; returns a scalar sum. Must use no other variable.
        rows: Tensors `[batch, ...]`. Only floating ones get gradients.
        shared: Tensors that every part reads, such as the item vectors.
        chunk: int32 scalar, rows a part; at least 1.
        equal_parts: bool. XLA wants all parts of one size: the last is filled up with rows of −1 (of 0 where floating),
            which `part` must not count. Off, the last is what is left.

    Returns:
        float32 scalar.

    Example:
        >>> x, w = tf.constant([[1.0], [2.0], [3.0]]), tf.constant(2.0)
        >>> with tf.GradientTape() as tape:
        ...     tape.watch([x, w])
        ...     loss = chunked_sum(lambda x, w: tf.reduce_sum(w * x**2), [x], [w], tf.constant(2))
        >>> [float(loss)] + [gradient.numpy().tolist() for gradient in tape.gradient(loss, [x, w])]
        [28.0, [[4.0], [8.0], [12.0]], 14.0]
    """
    rows, shared = [tf.convert_to_tensor(row) for row in rows], [tf.convert_to_tensor(one) for one in shared]
    if equal_parts:
        rows = _filled_up(rows, chunk)
    floating = [place for place, row in enumerate(rows) if row.dtype.is_floating]
    batch = tf.shape(rows[0])[0]

    @tf.custom_gradient
    def total(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor | None]]]:
        every, common = list(inputs[: len(rows)]), list(inputs[len(rows) :])

        def body(start: tf.Tensor, value: tf.Tensor, *state: Any) -> tuple[Any, ...]:
            size = chunk if equal_parts else tf.minimum(chunk, batch - start)
            here = [_slice(row, start, size) for row in every]
            wanted = [here[place] for place in floating] + common
            with tf.GradientTape() as tape:
                tape.watch(wanted)
                found = part(*here, *common)
            gradients = tape.gradient(found, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            of_rows = zip(state[: len(floating)], gradients[: len(floating)], strict=True)
            of_shared = zip(state[len(floating) :], gradients[len(floating) :], strict=True)
            put = [parts.write(start // chunk, gradient) for parts, gradient in of_rows]
            return start + size, value + found, *put, *[old + new for old, new in of_shared]

        number = -(-batch // chunk)
        parts = [tf.TensorArray(every[place].dtype, number, infer_shape=equal_parts) for place in floating]
        state = (tf.constant(0), tf.constant(0.0), *parts, *[tf.zeros_like(one) for one in common])
        _, value, *gradients = tf.while_loop(lambda start, *_: start < batch, body, state, parallel_iterations=1)
        gradients[: len(floating)] = [of_rows.concat() for of_rows in gradients[: len(floating)]]

        def backward(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            given: list[tf.Tensor | None] = [None] * len(inputs)
            for place, gradient in zip([*floating, *range(len(rows), len(inputs))], gradients, strict=True):
                given[place] = upstream * gradient
            return given

        return value, backward

    result: tf.Tensor = total(*rows, *shared)
    return result


def _slice(row: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Rows from `start` on; XLA can cut at an unknown place, but no unknown number of rows."""
    shape = tf.shape(row)
    return tf.slice(row, tf.concat([[start], tf.zeros_like(shape[1:])], 0), tf.concat([[size], shape[1:]], 0))


def _filled_up(rows: Sequence[tf.Tensor], chunk: tf.Tensor) -> list[tf.Tensor]:
    missing = -tf.shape(rows[0])[0] % chunk
    return [
        tf.pad(
            row,
            [[0, missing], *[[0, 0]] * (len(row.shape) - 1)],
            constant_values=tf.constant(0 if row.dtype.is_floating else -1, row.dtype),
        )
        for row in rows
    ]
