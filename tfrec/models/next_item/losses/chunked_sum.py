"""The sum of a loss over chunks of a batch, with the intermediate results of one chunk at a time in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def chunked_sum(
    chunk_loss: Callable[..., tf.Tensor],
    rows: Sequence[tf.Tensor],
    shared: Sequence[tf.Tensor],
    chunk: tf.Tensor,
    equal_chunks: bool = False,
) -> tf.Tensor:
    """The sum of `chunk_loss` over the chunks of a batch, with gradients for `rows` and `shared`.

    The gradient of a chunk is computed together with its value, so only the intermediate results of one chunk are in
    memory. (Fused cross-entropy kernels such as Liger's do the same, https://arxiv.org/abs/2410.10989.)

    Args:
        chunk_loss: Called with a slice of each of `rows`, then with `shared`; returns a scalar sum. It must not use
            other variables, as these would get no gradient.
        rows: Tensors `[batch, ...]`. Only floating-point ones get gradients.
        shared: Tensors that every chunk uses whole, such as the item vectors.
        chunk: int32 scalar. Rows of a chunk; at least 1.
        equal_chunks: bool. Whether the last chunk is padded to the same size, as XLA requires, with rows of −1 (0 if
            floating-point), which `chunk_loss` must ignore. Otherwise it has the remaining rows.

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
    rows, shared = [tf.convert_to_tensor(row) for row in rows], [tf.convert_to_tensor(tensor) for tensor in shared]
    if equal_chunks:
        rows = _padded_to_chunks(rows, chunk)
    floating = [index for index, row in enumerate(rows) if row.dtype.is_floating]
    batch = tf.shape(rows[0])[0]

    @tf.custom_gradient
    def total(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor | None]]]:
        every, common = list(inputs[: len(rows)]), list(inputs[len(rows) :])

        def body(start: tf.Tensor, value: tf.Tensor, *state: Any) -> tuple[Any, ...]:
            size = chunk if equal_chunks else tf.minimum(chunk, batch - start)
            here = [_slice(row, start, size) for row in every]
            sources = [here[index] for index in floating] + common
            with tf.GradientTape() as tape:
                tape.watch(sources)
                loss = chunk_loss(*here, *common)
            gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            of_rows = zip(state[: len(floating)], gradients[: len(floating)], strict=True)
            of_shared = zip(state[len(floating) :], gradients[len(floating) :], strict=True)
            written = [parts.write(start // chunk, gradient) for parts, gradient in of_rows]
            return start + size, value + loss, *written, *[old + new for old, new in of_shared]

        number = -(-batch // chunk)
        parts = [tf.TensorArray(every[index].dtype, number, infer_shape=equal_chunks) for index in floating]
        state = (tf.constant(0), tf.constant(0.0), *parts, *[tf.zeros_like(tensor) for tensor in common])
        _, value, *gradients = tf.while_loop(lambda start, *_: start < batch, body, state, parallel_iterations=1)
        gradients[: len(floating)] = [of_rows.concat() for of_rows in gradients[: len(floating)]]

        def backward(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            given: list[tf.Tensor | None] = [None] * len(inputs)
            for index, gradient in zip([*floating, *range(len(rows), len(inputs))], gradients, strict=True):
                given[index] = upstream * gradient
            return given

        return value, backward

    result: tf.Tensor = total(*rows, *shared)
    return result


def _slice(row: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`size` rows from `start` on. XLA can compile an unknown start, but not an unknown number of rows."""
    shape = tf.shape(row)
    return tf.slice(row, tf.concat([[start], tf.zeros_like(shape[1:])], 0), tf.concat([[size], shape[1:]], 0))


def _padded_to_chunks(rows: Sequence[tf.Tensor], chunk: tf.Tensor) -> list[tf.Tensor]:
    """The rows, padded to a multiple of `chunk` with −1, or 0 if floating-point."""
    missing = -tf.shape(rows[0])[0] % chunk
    return [
        tf.pad(
            row,
            [[0, missing], *[[0, 0]] * (len(row.shape) - 1)],
            constant_values=tf.constant(0 if row.dtype.is_floating else -1, row.dtype),
        )
        for row in rows
    ]
