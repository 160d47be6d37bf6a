"""Distribution strategies by name."""

from __future__ import annotations

import tensorflow as tf


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy that `training.strategy` names; "none" is TensorFlow's default strategy."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()
