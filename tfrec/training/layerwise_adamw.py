"""AdamW with a separate learning rate for each depth of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrec.keras import keras


class LayerwiseOptimizer(tf.Module):
    """AdamW with layer-wise decay: each group's learning rate is `decay` times that of the group above it.

    Lower layers are the most general, and large updates would damage them first (ULMFiT, Howard & Ruder 2018,
    https://arxiv.org/abs/1801.06146). Gradients are clipped by their global norm.

    Args:
        groups: The variables, lowest group first.
        rate: Maps the step to the learning rate of the topmost group.
        decay: float in (0, 1]. Ratio of the learning rates of adjacent groups.
        weight_decay: float. Weight decay of AdamW.
        clip: float. Maximum global norm of the gradients.

    Example:
        >>> low, high = tf.Variable(0.0), tf.Variable(0.0)
        >>> optimizer = LayerwiseOptimizer([[low], [high]], lambda step: 0.1, decay=0.5)
        >>> optimizer.apply([tf.constant(1.0), tf.constant(1.0)], [low, high], step=0)
        >>> [round(float(variable), 3) for variable in (low, high)]
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
        nonempty = [list(group) for group in groups if group]
        self._factors = [decay ** (len(nonempty) - 1 - depth) for depth in range(len(nonempty))]
        self._group_of = {variable.ref(): depth for depth, group in enumerate(nonempty) for variable in group}
        self.optimizers = [keras.optimizers.AdamW(1.0, weight_decay=weight_decay) for _ in nonempty]
        for optimizer, group in zip(self.optimizers, nonempty, strict=True):
            optimizer.build(group)

    def apply(self, gradients: Sequence[Any], variables: Sequence[tf.Variable], step: int) -> None:
        """Updates `variables`, which may come from any groups; other variables and their moments stay unchanged.

        Args:
            gradients: One gradient per variable.
            variables: Variables of the groups.
            step: int. Determines the learning rate.
        """
        clipped, _ = tf.clip_by_global_norm(list(gradients), self._clip)
        rate = float(self._rate(step))
        parts: dict[int, list[Any]] = {}
        for gradient, variable in zip(clipped, variables, strict=True):
            parts.setdefault(self._group_of[variable.ref()], []).append((gradient, variable))
        for depth, pairs in parts.items():
            self.optimizers[depth].learning_rate.assign(rate * self._factors[depth])
            self.optimizers[depth].apply_gradients(pairs)
