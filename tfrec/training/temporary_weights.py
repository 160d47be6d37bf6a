"""Variables that are changed for a while only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def restored(variables: Sequence[tf.Variable]) -> Iterator[None]:
    """Within it the variables may be assigned to; afterwards, or after an error, they are to the bit what they were.

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
