"""Distribution strategies by name, and what the replicas of one have to agree on."""

from __future__ import annotations

import functools

import tensorflow as tf


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy that `training.strategy` names; "none" is TensorFlow's default strategy.

    That of several workers is the same at each call, and has to be made before TensorFlow computes anything.
    """
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        return _of_workers()
    return tf.distribute.get_strategy()


@functools.cache
def _of_workers() -> tf.distribute.Strategy:
    return tf.distribute.MultiWorkerMirroredStrategy()


def share_of_batch(labels: tf.Tensor) -> tf.Tensor | float:
    """The share of a replica's labels in those of the whole batch: how much its mean loss weighs in that of the batch.

    A batch is cut into rows for the replicas, which have different numbers of labels; with equal weights, the step
    would not be that of one process.

    Args:
        labels: int32, any shape, labels of this replica; −1 where there is none.

    Returns:
        float32 scalar; 1 without replicas.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return 1.0
    replica = tf.distribute.get_replica_context()
    count = tf.reduce_sum(tf.cast(labels >= 0, tf.float32))
    return tf.math.divide_no_nan(count, replica.all_reduce(tf.distribute.ReduceOp.SUM, count))
