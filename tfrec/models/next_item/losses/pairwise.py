"""Losses over sampled negatives other than the softmax: gBCE and BPR."""

from __future__ import annotations

import tensorflow as tf


def generalised_bce(
    logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor, num_items: int, calibration: float = 0.75
) -> tf.Tensor:
    """Binary cross-entropy that does not grow overconfident for having seen few negatives (gBCE, Petrov & Macdonald
    2023, https://arxiv.org/abs/2308.07192).

    The positive's probability is raised to β = α(t(1 − 1/α) + 1/α), where α is the share of the catalogue's other items
    that are among the negatives and t the calibration: 0 is plain binary cross-entropy, 1 predicts as a full softmax.

    Args:
        logits: float32 `[n, m]`, one column a candidate.
        labels: int32 `[n]`, the column of what is to be predicted.
        log_weights: float32 `[m]`; a candidate of −inf was not drawn and is no negative, nor is a label for itself.
        num_items: int. Items in the catalogue.
        calibration: float in [0, 1].

    Returns:
        float32 `[n]`.

    Example:
        >>> logits, labels, drawn = tf.constant([[2.0, -1.0]]), tf.constant([0]), tf.zeros([2])
        >>> plain = generalised_bce(logits, labels, drawn, num_items=2, calibration=0.0)
        >>> bool(abs(plain[0] - tf.math.softplus(-2.0) - tf.math.softplus(-1.0)) < 1e-6)
        True
    """
    negative = _negatives(logits, labels, log_weights)
    counts = tf.reduce_sum(tf.cast(negative, tf.float32), axis=1)
    rate = counts / max(num_items - 1, 1)
    power = 1 - calibration * (1 - rate)  # α(t(1 − 1/α) + 1/α), which has a limit where nothing was drawn
    positive = tf.gather(logits, labels, axis=1, batch_dims=1)
    return power * tf.math.softplus(-positive) + tf.reduce_sum(
        tf.where(negative, tf.math.softplus(logits), 0.0), axis=1
    )


def bpr(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """Mean over the negatives of −log σ(positive − negative) (BPR, Rendle et al. 2009, https://arxiv.org/abs/1205.2618).

    Args and Returns: as `generalised_bce`; 0 without a negative.

    Example:
        >>> found = bpr(tf.constant([[3.0, 3.0]]), tf.constant([0]), tf.zeros([2]))
        >>> bool(abs(found[0] - tf.math.log(2.0)) < 1e-6)
        True
    """
    negative = _negatives(logits, labels, log_weights)
    positive = tf.gather(logits, labels, axis=1, batch_dims=1)[:, None]
    each = tf.where(negative, tf.math.softplus(logits - positive), 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(each, axis=1), tf.reduce_sum(tf.cast(negative, tf.float32), axis=1))


def _negatives(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    return (log_weights > -float("inf"))[None, :] & ~label
