"""Temporary changes to variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def restored(variables: Sequence[tf.Variable]) -> Iterator[None]:
    """On exit, also after an error, restores the exact values that the variables had on entry.

    Example:
        >>> weight = tf.Variable(1.0)
        >>> with restored([weight]):
        ...     _ = weight.assign(2.0)
        >>> float(weight)
        1.0
    """
    before = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
