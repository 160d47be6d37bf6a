"""An optimiser with a learning rate for every depth of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrec.keras import keras


class LayerwiseOptimizer(tf.Module):
    """AdamW in which the topmost group learns at `rate`, and each group below at `decay` times that of the one above.

    What lies low is general, and what training would spoil first (ULMFiT, Howard & Ruder 2018,
    https://arxiv.org/abs/1801.06146). Gradients are clipped by their common norm.

    Args:
        groups: The variables, lowest group first.
        rate: Step to the learning rate of the topmost.
        decay: float in (0, 1].
        weight_decay: float.
        clip: float. The most that the norm of all gradients together may be.

    Example:
        >>> low, high = tf.Variable(0.0), tf.Variable(0.0)
        >>> optimizer = LayerwiseOptimizer([[low], [high]], lambda step: 0.1, decay=0.5)
        >>> optimizer.apply([tf.constant(1.0), tf.constant(1.0)], [low, high], step=0)
        >>> [round(float(each), 3) for each in (low, high)]
        [-0.05, -0.1]
    """

    def __init__(
        self,
        groups: Sequence[Sequence[tf.Variable]],
        rate: Callable[[int], float],
        decay: float = 1.0,
        weight_decay: float = 0.0,
        clip: float = 1.0,
    ) -> None:
        super().__init__(name="layerwise")
        self._rate, self._clip = rate, clip
        filled = [list(group) for group in groups if group]
        self._factors = [decay ** (len(filled) - 1 - depth) for depth in range(len(filled))]
        self._group_of = {variable.ref(): depth for depth, group in enumerate(filled) for variable in group}
        self.optimizers = [keras.optimizers.AdamW(1.0, weight_decay=weight_decay) for _ in filled]
        for optimizer, group in zip(self.optimizers, filled, strict=True):
            optimizer.build(group)

    def apply(self, gradients: Sequence[Any], variables: Sequence[tf.Variable], step: int) -> None:
        """Moves `variables`, any of the groups', by their gradients; the others stay, and so do their averages."""
        clipped, _ = tf.clip_by_global_norm(list(gradients), self._clip)
        rate = float(self._rate(step))
        parts: dict[int, list[Any]] = {}
        for gradient, variable in zip(clipped, variables, strict=True):
            parts.setdefault(self._group_of[variable.ref()], []).append((gradient, variable))
        for depth, pairs in parts.items():
            self.optimizers[depth].learning_rate.assign(rate * self._factors[depth])
            self.optimizers[depth].apply_gradients(pairs)
